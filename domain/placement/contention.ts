/**
 * Chooses among pools that are as near as each other: not the emptiest, but the one that the fewest other sessions are
 * expected to want for each slot still free. Distance says nothing in a metro; who else depends on a pool does. Pure.
 */

/** A pool of which nothing is expected is chosen by its free slots, and one that is forgotten by a forecast not for nothing. */
const DEMAND_FLOOR = 1;

/**
 * Counts sessions of one client group, expected or arrived, at the pools that would do for it: an even part at each.
 * `demand` is by pool, in sessions.
 */
export function addDemand(demand: Float64Array, pools: ArrayLike<number>, sessions: number): void {
  const part = sessions / pools.length;
  for (let index = 0; index < pools.length; index += 1) {
    const pool = pools[index] ?? Number.NaN;
    demand[pool] = (demand[pool] ?? 0) + part;
  }
}

export interface Contention {
  /** By pool, in sessions: forecast, arrived or both; only the proportion counts. */
  readonly demand: ArrayLike<number>;
  readonly slotsFree: ArrayLike<number>;
}

/** Of two as contested, the first given. Undefined where all are full. */
export function chooseLeastContested(pools: ArrayLike<number>, { demand, slotsFree }: Contention): number | undefined {
  let chosen: number | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (let index = 0; index < pools.length; index += 1) {
    const pool = pools[index] ?? Number.NaN;
    const free = slotsFree[pool] ?? 0;
    if (free < 1) continue;
    const wanted = (DEMAND_FLOOR + (demand[pool] ?? 0)) / free;
    if (wanted < least) [chosen, least] = [pool, wanted];
  }
  return chosen;
}
