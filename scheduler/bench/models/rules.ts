/** The rules that sessions are placed by in the models: ours, and those it is measured beside. */
import { chooseTwoStep, NO_ENTRY } from "#domain/placement/two-step.ts";

/** Round trips from cells to pools, and what is free now. */
export interface Field {
  readonly cells: number;
  readonly pools: number;
  /** Row-major by cell. */
  readonly rttMs: Float64Array;
  /** Of each entry of `rttMs`. */
  readonly poolOf: Uint16Array;
  /** For each cell the pools by rising round trip, row-major. */
  readonly nearest: Uint16Array;
  readonly capacity: Int32Array;
}

/** A pool for a session of the cell; -1: told no. */
export type Rule = (cell: number, free: Int32Array) => number;

export function fieldOf(rttMs: Float64Array, pools: number, capacity: Int32Array): Field {
  const cells = rttMs.length / pools;
  const nearest = new Uint16Array(rttMs.length);
  const all = Array.from({ length: pools }, (_, pool) => pool);
  for (let cell = 0; cell < cells; cell += 1) {
    const rttOf = (pool: number) => rttMs[cell * pools + pool] ?? Number.POSITIVE_INFINITY;
    nearest.set(
      all.toSorted((a, b) => rttOf(a) - rttOf(b)),
      cell * pools,
    );
  }
  return { cells, pools, rttMs, poolOf: Uint16Array.from(rttMs, (_, entry) => entry % pools), nearest, capacity };
}

/** The lowest round trip that has room. */
export function greedy({ pools, nearest }: Field): Rule {
  return (cell, free) => {
    for (let index = cell * pools; index < (cell + 1) * pools; index += 1) {
      const pool = nearest[index] ?? 0;
      if ((free[pool] ?? 0) > 0) return pool;
    }
    return -1;
  };
}

export interface TwoStepOptions {
  readonly limitMs: number;
  /** As they are now; zeros are the rule without prices. */
  readonly priceMs: () => Float64Array;
  /** Tells no instead of going beyond the limit. */
  readonly isRejecting?: boolean;
}

export function twoStep(field: Field, { limitMs, priceMs, isRejecting = false }: TwoStepOptions): Rule {
  const { pools, rttMs, poolOf, capacity } = field;
  return (cell, free) => {
    const row = { pools: poolOf, rttMs, from: cell * pools, to: (cell + 1) * pools };
    const entry = chooseTwoStep(row, limitMs, { free, capacity, priceMs: priceMs() });
    const isWithin = entry !== NO_ENTRY && (rttMs[entry] ?? 0) <= limitMs;
    if (isWithin) return poolOf[entry] ?? 0;
    if (isRejecting) return -1;
    return entry === NO_ENTRY ? emptiest(free) : (poolOf[entry] ?? 0);
  };
}

/** Where no pool has spare capacity, the one with most free: nobody is told no while there is a slot. */
function emptiest(free: Int32Array): number {
  let best = -1;
  let most = 0;
  for (let pool = 0; pool < free.length; pool += 1) {
    if ((free[pool] ?? 0) > most) [best, most] = [pool, free[pool] ?? 0];
  }
  return best;
}
