/** The head that a hit is answered with: both lanes make it here, so that they answer alike. Pure, but for what it keeps. */
import { returnedFields } from "../request/edge-request.ts";
import type { StoredResponse } from "../store/stored-response.ts";

export interface HitHead {
  readonly status: number;
  /** Names and values in turn, without Age and without what this edge says in Cache-Status. */
  readonly raw: readonly string[];
  /** What caches before this one said in Cache-Status, and what parts it from our own word. */
  readonly earlierStatus: string;
}

/** What this edge says of a hit. */
export interface OwnFields {
  readonly cacheStatus: string;
  readonly ageSeconds: number;
}

const wholeHeads = new WeakMap<StoredResponse, HitHead>();

/** For the whole representation, and for HEAD; put together once for all hits of a response. */
export function wholeHead(stored: StoredResponse): HitHead {
  const known = wholeHeads.get(stored);
  if (known !== undefined) return known;
  const fields = ownlessFields(stored);
  if (stored.status !== 204) fields.set("content-length", [String(stored.body.byteLength)]);
  const head = headOf(stored, stored.status, fields);
  wholeHeads.set(stored, head);
  return head;
}

/** They describe the content that a 304 does not send (RFC 9110 section 15.4.5). */
export const OF_THE_CONTENT = [
  "content-length",
  "content-type",
  "content-encoding",
  "content-language",
  "content-range",
];

export function notModifiedHead(stored: StoredResponse): HitHead {
  const fields = ownlessFields(stored);
  for (const name of OF_THE_CONTENT) fields.delete(name);
  return headOf(stored, 304, fields);
}

export function hitStatus(ttlSeconds: number): string {
  return `Perigee; hit; ttl=${ttlSeconds}`;
}

/** Names and values in turn. */
export function rawFields({ raw, earlierStatus }: HitHead, { cacheStatus, ageSeconds }: OwnFields): string[] {
  return [...raw, "cache-status", `${earlierStatus}${cacheStatus}`, "age", String(Math.floor(ageSeconds))];
}

function ownlessFields(stored: StoredResponse): Map<string, readonly string[]> {
  const returned = returnedFields(stored.fields);
  returned.delete("cache-status");
  returned.delete("age");
  if (stored.status === 204) returned.delete("content-length");
  return returned;
}

function headOf({ fields }: StoredResponse, status: number, own: ReadonlyMap<string, readonly string[]>): HitHead {
  const earlier = fields.get("cache-status");
  return {
    status,
    raw: [...own].flatMap(([name, values]) => values.flatMap((value) => [name, value])),
    earlierStatus: earlier === undefined ? "" : `${earlier.join(", ")}, `,
  };
}
