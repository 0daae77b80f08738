/**
 * Decides whether prices are to be trusted, and how far: none where nothing is contended, less where the forecast was
 * wrong, none where the rule without them does better on the same arrivals. Pure.
 */
import { assert } from "../assert.ts";
import { FILTER_RULES } from "./candidate.ts";
import type { DecisionFrame } from "./decision-frame.ts";
import type { PriceProblem, PriceSolution } from "./prices.ts";
import { chooseTwoStep, NO_ENTRY } from "./two-step.ts";

/** Below this predicted use of the fullest pool there is nothing to ration. */
const UTILISATION_MIN = 0.7;
/** Arrivals that a comparison needs, and remembers: some tens of a percent are chance below it. */
export const TRIAL_ARRIVALS = 2000;
/** Beyond so many standard deviations an error is none of chance. */
const CHANCE_DEVIATIONS = 2;
/** From here on a candidate is permitted and within the limit, whatever else it fails: that depends on who was before. */
const WITHIN_LIMIT_FROM = FILTER_RULES.indexOf("no-free-slot") + 1;
/** Points of the share within the limit by which the plain rule has to be ahead for prices to be dropped. */
const TRIAL_LOSS_RATIO = 0.005;

/** Use of each pool if every session took the nearest one within its limit. */
export function utilisationOf({ firstOf, pools, rttMs, demand, capacity }: PriceProblem): Float64Array {
  const load = new Float64Array(capacity.length);
  for (let cell = 0; cell < demand.length; cell += 1) {
    let nearest = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let pair = firstOf[cell] ?? 0; pair < (firstOf[cell + 1] ?? 0); pair += 1) {
      const rtt = rttMs[pair] ?? 0;
      if (rtt < least) [nearest, least] = [pools[pair] ?? 0, rtt];
    }
    if (nearest >= 0) load[nearest] = (load[nearest] ?? 0) + (demand[cell] ?? 0);
  }
  return load.map((sessions, pool) => sessions / Math.max(1, capacity[pool] ?? 0));
}

/** Of the fullest pool; 0 without cells. */
export function predictUtilisation(problem: PriceProblem): number {
  return utilisationOf(problem).reduce((most, use) => Math.max(most, use), 0);
}

/** Whether there is anything to ration: prices of what is not are zero. */
export function isContended(problem: PriceProblem): boolean {
  return predictUtilisation(problem) > UTILISATION_MIN;
}

/**
 * The prices to go by: none for a pool that is contended neither where all take the nearest nor where they go by the
 * prices, and of the others as much as the forecast is worth.
 */
export function guardPrices(problem: PriceProblem, { priceMs, load }: PriceSolution, error: number): Float64Array {
  const nearest = utilisationOf(problem);
  const damping = dampingOf(error);
  return priceMs.map((price, pool) => {
    const priced = (load[pool] ?? 0) / Math.max(1, problem.capacity[pool] ?? 0);
    return Math.max(nearest[pool] ?? 0, priced) > UTILISATION_MIN ? damping * price : 0;
  });
}

/** Prices that differ by less are the same: nothing is placed otherwise for it. */
const PRICE_STEP_MS = 0.125;

/** As it is gone by: 0, or whole steps. */
export function steppedPriceMs(priceMs: number): number {
  return Math.round(priceMs / PRICE_STEP_MS) * PRICE_STEP_MS;
}

/**
 * Of what was forecast and what came: the relative error beyond what chance explains, 0 and more. Of independent Poisson
 * numbers the squares sum to the rates, give or take; twice what is usual of that is still chance.
 */
export function forecastError(expected: ArrayLike<number>, arrived: ArrayLike<number>): number {
  let off = 0;
  let chance = 0;
  let variance = 0;
  let sum = 0;
  for (let cell = 0; cell < expected.length; cell += 1) {
    const rate = expected[cell] ?? 0;
    off += ((arrived[cell] ?? 0) - rate) ** 2;
    chance += rate;
    variance += rate + 2 * rate ** 2;
    sum += rate ** 2;
  }
  const beyond = off - chance - CHANCE_DEVIATIONS * Math.sqrt(variance);
  return sum === 0 ? 0 : Math.sqrt(Math.max(0, beyond) / sum);
}

/** How wrong a forecast has been lately, by cell: a turn alone is too short to tell an error from chance. */
export class ForecastRecord {
  readonly #expected: Float64Array;
  readonly #arrived: Float64Array;
  readonly #memory: number;

  /** What was `memory` units ago counts by 1/e. */
  constructor(cells: number, memory: number) {
    assert(memory > 0, "a record is of some time");
    this.#expected = new Float64Array(cells);
    this.#arrived = new Float64Array(cells);
    this.#memory = memory;
  }

  /** The cell is another one from now on. */
  restart(cell: number): void {
    this.#expected[cell] = 0;
    this.#arrived[cell] = 0;
  }

  /** What was expected in `time` units, and what came. */
  observe(expected: ArrayLike<number>, arrived: ArrayLike<number>, time: number): void {
    const kept = Math.exp(-time / this.#memory);
    for (let cell = 0; cell < this.#expected.length; cell += 1) {
      this.#expected[cell] = (this.#expected[cell] ?? 0) * kept + (expected[cell] ?? 0);
      this.#arrived[cell] = (this.#arrived[cell] ?? 0) * kept + (arrived[cell] ?? 0);
    }
  }

  get error(): number {
    return forecastError(this.#expected, this.#arrived);
  }
}

/** 1 for a forecast that was right, a half for one that was off by its own size. */
export function dampingOf(error: number): number {
  return 1 / (1 + error);
}

/**
 * Both rules on the same arrivals, each on pools filled by itself alone. Occupancy is a fluid: a session leaves
 * gradually over its expected stay. O(pairs of the cell) for an arrival, and O(pools) for `pass`.
 */
export class PriceTrial {
  readonly #priced: Contender;
  readonly #plain: Contender;
  #arrivals = 0;

  constructor(pools: number) {
    this.#priced = new Contender(pools);
    this.#plain = new Contender(pools);
  }

  /** Time passes: `stays` is how many expected stays long it was. */
  pass(stays: number): void {
    assert(stays >= 0, "time passes forwards");
    const kept = Math.exp(-stays);
    this.#priced.thin(kept);
    this.#plain.thin(kept);
  }

  arrive(problem: PriceProblem, cell: number, priceMs: Float64Array): void {
    this.#arrivals += 1;
    this.#priced.take(problem, { cell, priceMs });
    this.#plain.take(problem, { cell, priceMs: undefined });
  }

  /** By how much the priced rule holds more sessions within their limit, as a ratio of the arrivals; 0 while too few came. */
  get lead(): number {
    return this.#arrivals < TRIAL_ARRIVALS ? 0 : this.#priced.withinRatio - this.#plain.withinRatio;
  }

  get arePricesLosing(): boolean {
    return this.lead < -TRIAL_LOSS_RATIO;
  }
}

/** What a decided session could have had, as it measured it: a problem of one cell. `columnOf` a pool's id; undefined leaves it out. */
export function withinLimitOf(
  frame: DecisionFrame,
  columnOf: (id: number) => number | undefined,
): Omit<PriceProblem, "capacity"> {
  const pools: number[] = [];
  const rttMs: number[] = [];
  for (let at = 0; at < frame.count; at += 1) {
    const code = frame.codes[at] ?? 0;
    const column = columnOf(frame.pools[at] ?? 0);
    if (column === undefined || (code !== 0 && code < WITHIN_LIMIT_FROM)) continue;
    pools.push(column);
    rttMs.push(frame.rttMs[at] ?? 0);
  }
  return {
    ...{ firstOf: Uint32Array.of(0, pools.length), demand: Float64Array.of(1) },
    ...{ pools: Uint16Array.from(pools), rttMs: Float32Array.from(rttMs) },
  };
}

class Contender {
  readonly #occupied: Float64Array;
  /** Filled in for the pools of who arrives. */
  readonly #free: Float64Array;
  withinRatio = 1;

  constructor(pools: number) {
    this.#occupied = new Float64Array(pools);
    this.#free = new Float64Array(pools);
  }

  thin(kept: number): void {
    for (let pool = 0; pool < this.#occupied.length; pool += 1)
      this.#occupied[pool] = (this.#occupied[pool] ?? 0) * kept;
  }

  take(
    { firstOf, pools, rttMs, capacity }: PriceProblem,
    { cell, priceMs }: { readonly cell: number; readonly priceMs: Float64Array | undefined },
  ): void {
    const row = { pools, rttMs, from: firstOf[cell] ?? 0, to: firstOf[cell + 1] ?? 0 };
    for (let entry = row.from; entry < row.to; entry += 1) {
      const pool = pools[entry] ?? 0;
      this.#free[pool] = (capacity[pool] ?? 0) - (this.#occupied[pool] ?? 0);
    }
    const chosen = chooseTwoStep(row, Number.POSITIVE_INFINITY, { free: this.#free, capacity, priceMs });
    const isWithin = chosen !== NO_ENTRY;
    const pool = pools[chosen] ?? 0;
    if (isWithin) this.#occupied[pool] = (this.#occupied[pool] ?? 0) + 1;
    this.withinRatio += ((isWithin ? 1 : 0) - this.withinRatio) / TRIAL_ARRIVALS;
  }
}
