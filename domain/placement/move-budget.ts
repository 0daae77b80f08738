/** How many sessions may move to a pool at a time: a token bucket for each destination, with a share kept for breaks. Pure: time is an argument. */
import { assert } from "../assert.ts";

/** Of a bucket; moves that can wait leave it to those that cannot. */
const BREAKS_SHARE = 0.5;
/** Buckets; the one not used for longest goes, which is full again by then. */
const DESTINATIONS_MAX = 4096;

export interface MoveRate {
  readonly movesPerSecond: number;
  /** At once, after a quiet time. */
  readonly movesMax: number;
}

interface Bucket {
  readonly tokens: number;
  readonly atMs: number;
}

export class MoveBudget {
  /** In the order in which they were last used. */
  readonly #buckets = new Map<string, Bucket>();
  readonly #rate: MoveRate;

  constructor(rate: MoveRate) {
    assert(rate.movesPerSecond > 0 && rate.movesMax >= 1, "a budget lets something move");
    this.#rate = rate;
  }

  /** Whether this move may go on now; if so it is counted. */
  take(destination: string, because: "break" | "sustained-gain", nowMs: number): boolean {
    const { movesPerSecond, movesMax } = this.#rate;
    const before = this.#buckets.get(destination) ?? { tokens: movesMax, atMs: nowMs };
    const gained = (Math.max(0, nowMs - before.atMs) / 1000) * movesPerSecond;
    const tokens = Math.min(movesMax, before.tokens + gained);
    const kept = because === "break" ? 0 : BREAKS_SHARE * movesMax;
    const isGranted = tokens - 1 >= kept;
    this.#buckets.delete(destination);
    const oldest = this.#buckets.keys().next();
    if (this.#buckets.size >= DESTINATIONS_MAX && oldest.done !== true) this.#buckets.delete(oldest.value);
    this.#buckets.set(destination, { tokens: isGranted ? tokens - 1 : tokens, atMs: Math.max(before.atMs, nowMs) });
    return isGranted;
  }
}
