/** The head that a hit is answered with: both lanes make it here, so that they answer alike. Pure. */
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

/** For the whole representation, and for HEAD. */
export function wholeHead(stored: StoredResponse): HitHead {
  const fields = ownlessFields(stored);
  if (stored.status !== 204) fields.set("content-length", [String(stored.body.byteLength)]);
  return headOf(stored, stored.status, fields);
}

/** They describe the content that is not sent (RFC 9110 section 15.4.5). */
const OF_THE_CONTENT = ["content-length", "content-type", "content-encoding", "content-language", "content-range"];

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

function ownlessFields({ fields }: StoredResponse): Map<string, readonly string[]> {
  const returned = returnedFields(fields);
  returned.delete("cache-status");
  returned.delete("age");
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
