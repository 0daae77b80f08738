/** Counts what user agents get of each site, in place: a hit of the fast lane costs three additions, and nothing is made. */
import { assert } from "#domain/assert.ts";
import {
  type ByteCount,
  type CacheCount,
  STATUS_COUNTS,
  type StatusCount,
  USAGE_COUNTS,
  type UsageCount,
  type UsageCounts,
} from "#domain/usage/site-usage.ts";
import type { CacheOutcome } from "../events.ts";

/** By their place in `USAGE_COUNTS`: what processes tell one another. */
export type TalliedCounts = Float64Array;

const SLOTS: ReadonlyMap<UsageCount, number> = new Map(USAGE_COUNTS.map((name, slot) => [name, slot]));
const HIT = slotOf("hit");
const SENT_BYTES = slotOf("sentBytes");

/** A request that was answered, or given up by whoever asked: then its status is 0. */
export interface CountedAnswer {
  readonly cache: CacheOutcome | undefined;
  readonly status: number;
  readonly sentBytes: number;
}

export class SiteTally {
  readonly site: string;
  readonly #counts: TalliedCounts = new Float64Array(USAGE_COUNTS.length);
  #idleTurns = 0;

  constructor(site: string) {
    this.site = site;
  }

  /** `statusSlot` as `statusSlotOf` gives it. */
  countHit(statusSlot: number, sentBytes: number): void {
    const counts = this.#counts;
    counts[HIT] = (counts[HIT] ?? 0) + 1;
    counts[statusSlot] = (counts[statusSlot] ?? 0) + 1;
    counts[SENT_BYTES] = (counts[SENT_BYTES] ?? 0) + sentBytes;
  }

  add(name: UsageCount, count: number): void {
    this.addAt(slotOf(name), count);
  }

  addAt(slot: number, count: number): void {
    this.#counts[slot] = (this.#counts[slot] ?? 0) + count;
  }

  /** Turns in which nothing was counted, up to the last. */
  get idleTurns(): number {
    return this.#idleTurns;
  }

  /** What was counted since it was last taken; `undefined`: nothing. */
  take(): TalliedCounts | undefined {
    this.#idleTurns += 1;
    if (!this.#counts.some((count) => count > 0)) return undefined;
    this.#idleTurns = 0;
    const taken = this.#counts.slice();
    this.#counts.fill(0);
    return taken;
  }
}

export class SiteTallies {
  /** Of sites that were asked for in the last two turns. */
  readonly #tallies = new Map<string, SiteTally>();

  /** To be counted by within a second: of a site that nobody asks for it is another one later. */
  of(site: string): SiteTally {
    const known = this.#tallies.get(site);
    if (known !== undefined) return known;
    const tally = new SiteTally(site);
    this.#tallies.set(site, tally);
    return tally;
  }

  answered(site: string, { cache, status, sentBytes }: CountedAnswer): void {
    const tally = this.of(site);
    const counted: CacheCount = cache ?? "none";
    tally.add(counted, 1);
    tally.addAt(statusSlotOf(status), 1);
    tally.add("sentBytes", sentBytes);
  }

  fetched(site: string, from: Exclude<ByteCount, "sentBytes">, bytes: number): void {
    this.of(site).add(from, bytes);
  }

  /** What another process has counted. */
  addAll(counted: ReadonlyMap<string, TalliedCounts>): void {
    for (const [site, counts] of counted) {
      const tally = this.of(site);
      for (const [slot, count] of counts.entries()) tally.addAt(slot, count);
    }
  }

  /** What was counted since the last turn, by site; a second at least lies between one turn and the next but one. */
  take(): ReadonlyMap<string, TalliedCounts> {
    const taken = new Map<string, TalliedCounts>();
    for (const [site, tally] of this.#tallies) {
      const counts = tally.take();
      if (counts !== undefined) taken.set(site, counts);
      else if (tally.idleTurns > 1) this.#tallies.delete(site);
    }
    return taken;
  }
}

/** Where a status is counted; 0 where there was none. */
export function statusSlotOf(status: number): number {
  const name: StatusCount = STATUS_COUNTS[Math.floor(status / 100) - 1] ?? "unanswered";
  return slotOf(name);
}

export function countsOf(tallied: TalliedCounts): UsageCounts {
  return Object.fromEntries(
    USAGE_COUNTS.map((name, slot) => [name, tallied[slot] ?? 0]).filter(([, count]) => count !== 0),
  );
}

function slotOf(name: UsageCount): number {
  const slot = SLOTS.get(name);
  assert(slot !== undefined, "every count has a slot");
  return slot;
}
