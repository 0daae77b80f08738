/**
 * What edges say to one another beside HTTP, in the field Perigee-Tier (a Dictionary, RFC 9651): of a request, which
 * site it is for and how far the asker has applied purges; of an answer, why it is none. Pure.
 */
import { parseDictionary, serializeDictionary, Token } from "structured-headers";
import { type Fields, fieldValue } from "#domain/http/fields.ts";
import type { PurgeMark } from "../desired-state/applied-purges.ts";

export const TIER_FIELD = "perigee-tier";

export interface TierRequest {
  readonly site: string;
  /** Of the URL that the user agent asked for. Host is the peer's own: it says whom TLS must find there. */
  readonly scheme: "http" | "https";
  readonly host: string;
  readonly applied: PurgeMark;
}

/** Why an edge does not answer: the asker goes to the next tier. */
export const DECLINE_REASONS = ["behind", "unknown-site", "untrusted", "malformed", "overloaded", "denied"] as const;
export type DeclineReason = (typeof DECLINE_REASONS)[number];

export function formatTierRequest({ site, scheme, host, applied }: TierRequest): string {
  const { epoch, revision } = applied;
  return serializeDictionary({ site, scheme: new Token(scheme), host, epoch, purge: revision });
}

/** `undefined` for anything but what `formatTierRequest` writes; members that a later version adds are passed over. */
export function parseTierRequest(fields: Fields): TierRequest | undefined {
  const members = membersOf(fields);
  const [site, host, scheme] = [members?.get("site"), members?.get("host"), textOf(members?.get("scheme"))];
  const [epoch, revision] = [members?.get("epoch"), members?.get("purge")];
  if (typeof site !== "string" || typeof host !== "string") return undefined;
  if (scheme !== "http" && scheme !== "https") return undefined;
  if (!isCount(epoch) || !isCount(revision)) return undefined;
  return { site, scheme, host, applied: { epoch, revision } };
}

export function formatDecline(reason: DeclineReason): string {
  return serializeDictionary({ declined: new Token(reason) });
}

/** `undefined` for an answer; a reason that a later version adds counts as `malformed`. */
export function parseDecline(fields: Fields): DeclineReason | undefined {
  if (!fields.has(TIER_FIELD)) return undefined;
  const said = textOf(membersOf(fields)?.get("declined"));
  return DECLINE_REASONS.find((reason) => reason === said) ?? "malformed";
}

function membersOf(fields: Fields): ReadonlyMap<string, unknown> | undefined {
  try {
    const dictionary = parseDictionary(fieldValue(fields, TIER_FIELD) ?? "");
    return new Map([...dictionary].map(([name, [value]]) => [name, value]));
  } catch {
    return undefined;
  }
}

function textOf(value: unknown): string | undefined {
  return value instanceof Token ? value.toString() : undefined;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
