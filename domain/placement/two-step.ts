/**
 * The two-step rule: within the limit the lowest round trip with its price, and who fits nowhere takes uncontested
 * spare capacity only (DESIGN section 8). Pure. `decision.ts` adds what policies want; this is the rule by itself.
 */

/** A session that fits nowhere goes where more than this is free. */
export const SPARE_FREE_RATIO = 0.05;
/** Keeps such a session off priced pools more strongly than one that fits. */
export const SPARE_PRICE_FACTOR = 3;

/** The pools of one cell: entries `from` up to `to`. */
export interface PoolRow {
  readonly pools: ArrayLike<number>;
  /** By entry. */
  readonly rttMs: ArrayLike<number>;
  readonly from: number;
  readonly to: number;
}

/** By pool. */
export interface PoolStates {
  readonly free: ArrayLike<number>;
  readonly capacity: ArrayLike<number>;
  /** Undefined: none. */
  readonly priceMs: ArrayLike<number> | undefined;
}

export const NO_ENTRY = -1;

/** The entry of the pool, or `NO_ENTRY`; of two as good the first. O(entries), allocates nothing. */
export function chooseTwoStep({ pools, rttMs, from, to }: PoolRow, limitMs: number, of: PoolStates): number {
  let best = NO_ENTRY;
  let least = Number.POSITIVE_INFINITY;
  let spare = NO_ENTRY;
  let leastSpare = Number.POSITIVE_INFINITY;
  for (let entry = from; entry < to; entry += 1) {
    const pool = pools[entry] ?? 0;
    const rtt = rttMs[entry] ?? 0;
    const price = of.priceMs?.[pool] ?? 0;
    const free = of.free[pool] ?? 0;
    if (rtt <= limitMs) {
      if (free >= 1 && rtt + price < least) [best, least] = [entry, rtt + price];
    } else {
      const score = rtt + SPARE_PRICE_FACTOR * price;
      const isSpare = free > SPARE_FREE_RATIO * (of.capacity[pool] ?? 0);
      if (isSpare && score < leastSpare) [spare, leastSpare] = [entry, score];
    }
  }
  return best === NO_ENTRY ? spare : best;
}
