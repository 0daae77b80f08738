/** Decides which stored responses a purge is for, and until when. Pure. */
import type { PurgeMatch, PurgeSpec } from "#domain/content/purge.ts";
import { type ResponseHead, tagsOf } from "./stored-response.ts";

/**
 * A purge as it counts at this node: for nothing that is asked for after it came, however late the clock that made it
 * was. The millisecond in which it came is before it.
 */
export function asReceived(spec: PurgeSpec, nowMs: number): PurgeSpec {
  return { ...spec, atMs: Math.min(spec.atMs, nowMs + 1) };
}

export function isPurged(
  spec: PurgeSpec,
  head: Pick<ResponseHead, "site" | "key" | "fields" | "requestedAtMs">,
): boolean {
  return head.site === spec.site && head.requestedAtMs < spec.atMs && isNamed(spec.match, head);
}

function isNamed(match: PurgeMatch, { key, fields }: Pick<ResponseHead, "key" | "fields">): boolean {
  switch (match.kind) {
    case "all":
      return true;
    case "paths":
      return match.paths.includes(key);
    case "prefix":
      return key.startsWith(match.prefix);
    case "tags":
      return tagsOf(fields).some((tag) => match.tags.includes(tag));
  }
}

/** As many as can come while one response arrives. */
export const RECENT_PURGES_MAX = 256;

/** Purges of late, so that a response asked for before one and arriving after it is not stored. */
export class RecentPurges {
  #purges: PurgeSpec[] = [];
  /** What was asked for before is not stored: it may be what a forgotten purge was for. */
  #floorMs = 0;

  add(spec: PurgeSpec): void {
    this.#purges.push(spec);
    const oldest = this.#purges.length > RECENT_PURGES_MAX ? this.#purges.shift() : undefined;
    if (oldest !== undefined) this.#floorMs = Math.max(this.#floorMs, oldest.atMs);
  }

  expireBefore(atMs: number): void {
    this.#floorMs = Math.max(this.#floorMs, atMs);
  }

  has(head: ResponseHead): boolean {
    return head.requestedAtMs < this.#floorMs || this.#purges.some((spec) => isPurged(spec, head));
  }
}
