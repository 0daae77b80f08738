/** Decides which stored responses the purges of late are for. Pure. */
import type { PurgeSpec } from "#domain/content/purge.ts";
import { type ResponseHead, type StoredResponse, softened, tagsOf } from "./stored-response.ts";

/** What removes or softens stored responses. */
export type PurgeOrder =
  | { readonly kind: "purge"; readonly spec: PurgeSpec }
  /** What was asked for before, of all sites. */
  | { readonly kind: "expire"; readonly atMs: number };

/**
 * A purge as it counts at this node: for nothing that is asked for after it came, however late the clock that made it
 * was. The millisecond in which it came is before it.
 */
export function asReceived(spec: PurgeSpec, nowMs: number): PurgeSpec {
  return { ...spec, atMs: Math.min(spec.atMs, nowMs + 1) };
}

/** Names that purges of late gave. More, and the tiers are swept at once, which may be a pause. */
export const PURGE_MARKS_MAX = 4096;
/** As many as can come while one response arrives. */
export const RECENT_PURGES_MAX = 256;

type Purged = Pick<ResponseHead, "site" | "key" | "fields" | "requestedAtMs">;

interface Times {
  /** What was asked for before is removed, or softened. */
  hardMs: number;
  softMs: number;
}

interface Mark extends Times {
  /** Of the latest order that gave it. */
  order: number;
}

interface PrefixMark extends Mark {
  readonly site: string;
  readonly prefix: string;
}

const NEVER: Times = { hardMs: 0, softMs: 0 };

/** Purges in effect before the tiers are swept: a look-up in them costs as many steps as a response has tags. */
export class PurgeMarks {
  /** By what they name; the latest last. */
  readonly #named = new Map<string, Mark>();
  readonly #prefixes = new Map<string, PrefixMark>();
  #latest = 0;
  #everywhereMs = 0;
  /** What was asked for before is not stored: it may be what a forgotten purge was for. */
  #floorMs = 0;

  /** Orders are counted from 1. */
  get latest(): number {
    return this.#latest;
  }

  get isFull(): boolean {
    return this.#named.size + this.#prefixes.size >= PURGE_MARKS_MAX;
  }

  add(order: PurgeOrder): void {
    this.#latest += 1;
    if (order.kind === "expire") this.#everywhereMs = Math.max(this.#everywhereMs, order.atMs);
    else this.#addPurge(order.spec);
  }

  /** What the purges leave of a stored response: the same, softened, or nothing. */
  applyTo<T extends Purged & Pick<StoredResponse, "freshness">>(response: T): T | undefined {
    const { hardMs, softMs } = this.#timesOf(response);
    if (response.requestedAtMs < hardMs) return undefined;
    if (response.requestedAtMs >= softMs) return response;
    return { ...response, freshness: softened(response.freshness, softMs) };
  }

  /** Whether what arrives was asked for before a purge of it, or may have been. */
  hasPurged(head: Purged): boolean {
    const { hardMs, softMs } = this.#timesOf(head);
    return head.requestedAtMs < Math.max(hardMs, softMs, this.#floorMs);
  }

  /** The tiers are swept for all orders up to this one; the latest marks stay for what still arrives. */
  swept(order: number): void {
    for (const marks of [this.#named, this.#prefixes]) {
      for (const [name, mark] of marks) {
        if (marks.size <= RECENT_PURGES_MAX || mark.order > order) break;
        this.#floorMs = Math.max(this.#floorMs, mark.hardMs, mark.softMs);
        marks.delete(name);
      }
    }
  }

  #addPurge({ site, match, soft, atMs }: PurgeSpec): void {
    const given = { order: this.#latest, hardMs: soft ? 0 : atMs, softMs: soft ? atMs : 0 };
    switch (match.kind) {
      case "all":
        mark(this.#named, allOf(site), given);
        break;
      case "paths":
        for (const path of match.paths) mark(this.#named, pathOf(site, path), given);
        break;
      case "tags":
        for (const tag of match.tags) mark(this.#named, tagOf(site, tag), given);
        break;
      case "prefix":
        mark(this.#prefixes, pathOf(site, match.prefix), { ...given, site, prefix: match.prefix });
    }
  }

  #timesOf({ site, key, fields }: Purged): Times {
    const times = { hardMs: this.#everywhereMs, softMs: 0 };
    if (this.#latest === 0) return times;
    const include = ({ hardMs, softMs }: Times = NEVER) => {
      times.hardMs = Math.max(times.hardMs, hardMs);
      times.softMs = Math.max(times.softMs, softMs);
    };
    include(this.#named.get(allOf(site)));
    include(this.#named.get(pathOf(site, key)));
    for (const tag of tagsOf(fields)) include(this.#named.get(tagOf(site, tag)));
    for (const prefix of this.#prefixes.values())
      if (prefix.site === site && key.startsWith(prefix.prefix)) include(prefix);
    return times;
  }
}

/** Site names have no space, so that no two kinds share a name. */
const allOf = (site: string) => `${site} all`;
const pathOf = (site: string, path: string) => `${site} path ${path}`;
const tagOf = (site: string, tag: string) => `${site} tag ${tag}`;

/** The latest stand last, also those that were given before. */
function mark<T extends Mark>(marks: Map<string, T>, name: string, given: T): void {
  const before = marks.get(name) ?? NEVER;
  marks.delete(name);
  const hardMs = Math.max(given.hardMs, before.hardMs);
  marks.set(name, { ...given, hardMs, softMs: Math.max(given.softMs, before.softMs) });
}
