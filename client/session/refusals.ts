/** Sorts failures of calls by what can be done about them. */
import { ClientFailure } from "../failure.ts";
import type { Problem } from "./session-ports.ts";

export type FailureKind =
  /** Nobody answered, or nobody who can. */
  | "unreachable"
  /** A no that may be a yes elsewhere or later. */
  | "refused"
  /** What was shown is too old, or unknown there. */
  | "stale"
  /** A no that stays. */
  | "fatal";

/** No answer: what was sent may still be on its way to somebody. */
const SILENT = ["unreachable", "media-unreachable", "deadline-exceeded", "upstream-timeout"];
const UNREACHABLE = new Set([...SILENT, "unavailable"]);
const STALE = new Set(["not-found", "token-expired", "token-invalid", "proof-invalid", "certificate-untrusted"]);
const REFUSED = new Set(["overloaded", "no-pool-fits", "placement-refused", "attempt-superseded"]);

/** Of a call about a session that is known: what is stale may be made anew. */
export function kindOfFailure({ code }: ClientFailure): FailureKind {
  if (UNREACHABLE.has(code) || /^http-5\d\d$/.test(code)) return "unreachable";
  if (REFUSED.has(code) || code === "http-429") return "refused";
  return STALE.has(code) ? "stale" : "fatal";
}

/** Of the call that makes a session: nothing can be stale but what the page was published with. */
export function kindOfFirstFailure(failure: ClientFailure): Exclude<FailureKind, "stale"> {
  const kind = kindOfFailure(failure);
  return kind === "stale" ? "fatal" : kind;
}

/** Whether somebody said no, so that nobody else has taken up what was offered. */
export function isAnswered({ code }: ClientFailure): boolean {
  return !SILENT.includes(code);
}

export function problemOf({ code, message }: ClientFailure): Problem {
  return { code, message };
}

/** What the outside did; anything else is a bug and goes on. */
export function asClientFailure(error: unknown): ClientFailure {
  if (error instanceof ClientFailure) return error;
  throw error;
}

/** `undefined` where the outside failed: what runs, runs on without it. */
export async function attempt<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    asClientFailure(error);
    return undefined;
  }
}
