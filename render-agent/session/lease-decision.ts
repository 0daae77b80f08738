/** What to do with a request for a lease, given what its session holds here and what is free. Pure. */
import { Failure } from "#domain/failure.ts";
import type { LeasePhase } from "./lease-phase.ts";

export interface LeaseDemand {
  readonly session: string;
  readonly attempt: number;
  readonly app: string;
  readonly renderClass: string;
  /** RFC 7638 thumbprint of the client's key. */
  readonly thumbprint: string;
}

export interface HeldLease extends LeaseDemand {
  readonly phase: LeasePhase;
}

/** What is known of a session that has no lease any more. */
export interface SessionMemory {
  /** The highest that was granted. */
  readonly attempt: number;
  readonly startedAtMs: number;
  /** Its time is up: no attempt brings it back. */
  readonly isOver: boolean;
}

export interface LeaseFacts {
  readonly demand: LeaseDemand;
  /** Of the same session, while it holds a slot. */
  readonly held: HeldLease | undefined;
  readonly memory: SessionMemory | undefined;
  /** Why no new session is taken: cordoned, draining, stopping, not ready. */
  readonly closedBecause: string | undefined;
  /** With the best that a session could have here; `undefined` where one more fits. */
  readonly noRoomBecause: string | undefined;
}

export type LeaseDecision =
  /** The lease that is held, with an answer to the new offer. */
  | { readonly kind: "again" }
  | { readonly kind: "grant" }
  /** What is held ends first; then the decision is made anew. */
  | { readonly kind: "end-first"; readonly reason: "superseded" | "ending" }
  | { readonly kind: "refuse"; readonly failure: Failure };

/** A client that holds a lease keeps it whatever became of the agent's readiness; a new one needs room. */
export function decideLease({ demand, held, memory, closedBecause, noRoomBecause }: LeaseFacts): LeaseDecision {
  const { session, attempt, thumbprint } = demand;
  if (memory?.isOver === true) return refuse("attempt-superseded", `session ${session} has had its time`);
  const highest = Math.max(held?.attempt ?? 0, memory?.attempt ?? 0);
  if (attempt < highest) {
    return refuse("attempt-superseded", `session ${session} is at attempt ${highest}, not ${attempt}: use the newest`);
  }
  if (held !== undefined) {
    if (held.thumbprint !== thumbprint) return refuse("proof-invalid", `session ${session} is another key's`);
    if (held.phase === "ending") return { kind: "end-first", reason: "ending" };
    if (attempt === held.attempt) return { kind: "again" };
    if (closedBecause === undefined) return { kind: "end-first", reason: "superseded" };
  }
  if (closedBecause !== undefined) return refuse("placement-refused", `no new session is taken here: ${closedBecause}`);
  if (noRoomBecause === undefined) return { kind: "grant" };
  return refuse("placement-refused", `no slot of class ${demand.renderClass} is free here: ${noRoomBecause}`);
}

function refuse(code: "attempt-superseded" | "placement-refused" | "proof-invalid", message: string): LeaseDecision {
  return { kind: "refuse", failure: new Failure(code, message) };
}
