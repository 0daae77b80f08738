/**
 * Solves what a slot of each pool is worth while more want it than it has: one price a pool, in milliseconds. Pure.
 *
 * The programme: assign each cell's sessions to pools within their limit so that `valueMs` less the round trip is most
 * in sum, no pool above its capacity. A pool's price is the multiplier of its capacity. Choices are smoothed by an
 * entropy (Cuturi 2013), so that prices are unique and move little when demand does; each pool's price then has a
 * closed-form step, that of iterative proportional fitting with an outside choice.
 */
import { assert } from "../assert.ts";

/** Cells and the pools within their limit, in compressed rows: those of cell `c` are at `firstOf[c]` up to `firstOf[c + 1]`. */
export interface PriceProblem {
  readonly firstOf: Uint32Array;
  readonly pools: Uint16Array;
  readonly rttMs: Float32Array;
  /** Sessions at once that each cell is expected to want. */
  readonly demand: Float64Array;
  /** Sessions at once that each pool can hold. */
  readonly capacity: Float64Array;
}

export interface PriceSolution {
  readonly priceMs: Float64Array;
  /** Sessions at once that the prices send to each pool. */
  readonly load: Float64Array;
}

/** What it is worth that a session is within its limit: above any difference of round trips, so that none pays for one outside. */
export const PRICE_MS_MAX = 200;
/** Sessions follow a price difference of this much softly; below what a session feels. */
const SMOOTHING_MS = 2;
/** A pool that is to be full on average is too full half of the time. */
const FILL_RATIO = 0.95;
/** A pool without capacity has a price all the same. */
const CAPACITY_MIN = 0.5;
const STEPS_COLD = 180;
/** From the last prices: demand changes little from solve to solve. */
const STEPS_WARM = 60;
const LOAD_MIN = 1e-9;
const GAIN_GROWTH = 1.2;
const GAIN_LONGEST = 20;
/** Prices that move less than this are solved. */
const SETTLED_MS = 0.01;

/** O(steps · pairs of cell and pool). `previous` are prices of the same pools, to start from. */
export function solvePrices(problem: PriceProblem, previous?: Float64Array): PriceSolution {
  const { capacity, demand, firstOf } = problem;
  assert(firstOf.length === demand.length + 1, "every cell has its row of pools");
  const isWarm = previous !== undefined && previous.length === capacity.length;
  const priceMs = isWarm ? Float64Array.from(previous) : new Float64Array(capacity.length);
  const load = new Float64Array(capacity.length);
  const last = { gain: new Float64Array(capacity.length).fill(1), step: new Float64Array(capacity.length) };
  const steps = isWarm ? STEPS_WARM : STEPS_COLD;
  for (let step = 0; step < steps; step += 1) {
    spread(problem, priceMs, load);
    if (adjust(priceMs, { load, capacity, last }) < SETTLED_MS) break;
  }
  return { priceMs, load };
}

/** Fills `load` with what each pool gets at these prices; an outside choice takes whom every price is too high for. */
function spread({ firstOf, pools, rttMs, demand }: PriceProblem, priceMs: Float64Array, load: Float64Array): void {
  load.fill(0);
  const weights = new Float64Array(maxRow(firstOf));
  for (let cell = 0; cell < demand.length; cell += 1) {
    const from = firstOf[cell] ?? 0;
    const to = firstOf[cell + 1] ?? from;
    let least = PRICE_MS_MAX;
    for (let pair = from; pair < to; pair += 1) {
      const cost = (rttMs[pair] ?? 0) + (priceMs[pools[pair] ?? 0] ?? 0);
      weights[pair - from] = cost;
      if (cost < least) least = cost;
    }
    let sum = Math.exp((least - PRICE_MS_MAX) / SMOOTHING_MS);
    for (let index = 0; index < to - from; index += 1) {
      const weight = Math.exp((least - (weights[index] ?? 0)) / SMOOTHING_MS);
      weights[index] = weight;
      sum += weight;
    }
    const share = (demand[cell] ?? 0) / sum;
    for (let pair = from; pair < to; pair += 1) {
      const pool = pools[pair] ?? 0;
      load[pool] = (load[pool] ?? 0) + share * (weights[pair - from] ?? 0);
    }
  }
}

function maxRow(firstOf: Uint32Array): number {
  let longest = 0;
  for (let cell = 1; cell < firstOf.length; cell += 1) {
    longest = Math.max(longest, (firstOf[cell] ?? 0) - (firstOf[cell - 1] ?? 0));
  }
  return longest;
}

interface LastSteps {
  /** How much longer than the closed-form step a pool's is: grows while it goes one way (Riedmiller and Braun 1993). */
  readonly gain: Float64Array;
  readonly step: Float64Array;
}

/** Answers by how much the price that moved furthest moved. */
function adjust(
  priceMs: Float64Array,
  of: { readonly load: Float64Array; readonly capacity: Float64Array; readonly last: LastSteps },
): number {
  let furthest = 0;
  for (let pool = 0; pool < priceMs.length; pool += 1) {
    const before = priceMs[pool] ?? 0;
    const room = Math.max(CAPACITY_MIN, FILL_RATIO * (of.capacity[pool] ?? 0));
    const step = SMOOTHING_MS * Math.log(((of.load[pool] ?? 0) + LOAD_MIN) / room);
    const isOnward = step * (of.last.step[pool] ?? 0) > 0;
    const gain = isOnward ? Math.min(GAIN_LONGEST, (of.last.gain[pool] ?? 1) * GAIN_GROWTH) : 1;
    const after = Math.min(PRICE_MS_MAX, Math.max(0, before + gain * step));
    of.last.step[pool] = step;
    of.last.gain[pool] = gain;
    priceMs[pool] = after;
    furthest = Math.max(furthest, Math.abs(after - before));
  }
  return furthest;
}
