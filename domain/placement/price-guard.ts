/**
 * Decides whether prices are to be trusted, and how far: none where nothing is contended, less where the forecast was
 * wrong, none where the rule without them does better on the same arrivals. Pure.
 */
import { assert } from "../assert.ts";
import type { PriceProblem } from "./prices.ts";

/** Below this predicted use of the fullest pool there is nothing to ration. */
const UTILISATION_MIN = 0.7;
/** Arrivals that a comparison needs, and remembers: some tens of a percent are chance below it. */
export const TRIAL_ARRIVALS = 2000;
/** Points of the share within the limit by which the plain rule has to be ahead for prices to be dropped. */
const TRIAL_LOSS_RATIO = 0.005;

/** Use of the fullest pool if every session took the nearest one within its limit; 0 without cells. */
export function predictUtilisation({ firstOf, pools, rttMs, demand, capacity }: PriceProblem): number {
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
  return load.reduce((most, sessions, pool) => Math.max(most, sessions / Math.max(1, capacity[pool] ?? 0)), 0);
}

/** Whether there is anything to ration: prices of what is not are zero. */
export function isContended(problem: PriceProblem): boolean {
  return predictUtilisation(problem) > UTILISATION_MIN;
}

/** Of what was forecast and what came: the relative error beyond what chance explains, 0 and more. */
export function forecastError(expected: ArrayLike<number>, arrived: ArrayLike<number>): number {
  let off = 0;
  let chance = 0;
  let sum = 0;
  for (let cell = 0; cell < expected.length; cell += 1) {
    const rate = expected[cell] ?? 0;
    off += ((arrived[cell] ?? 0) - rate) ** 2;
    chance += rate;
    sum += rate ** 2;
  }
  return sum === 0 ? 0 : Math.sqrt(Math.max(0, off - chance) / sum);
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
  readonly #capacity: Float64Array;
  readonly #priced: Contender;
  readonly #plain: Contender;
  #arrivals = 0;

  constructor(capacity: Float64Array) {
    this.#capacity = capacity;
    this.#priced = new Contender(capacity.length);
    this.#plain = new Contender(capacity.length);
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
    this.#priced.take(problem, { cell, capacity: this.#capacity, priceMs });
    this.#plain.take(problem, { cell, capacity: this.#capacity, priceMs: undefined });
  }

  /** By how much the priced rule holds more sessions within their limit, as a ratio of the arrivals; 0 while too few came. */
  get lead(): number {
    return this.#arrivals < TRIAL_ARRIVALS ? 0 : this.#priced.withinRatio - this.#plain.withinRatio;
  }

  get arePricesLosing(): boolean {
    return this.lead < -TRIAL_LOSS_RATIO;
  }
}

class Contender {
  readonly #occupied: Float64Array;
  withinRatio = 1;

  constructor(pools: number) {
    this.#occupied = new Float64Array(pools);
  }

  thin(kept: number): void {
    for (let pool = 0; pool < this.#occupied.length; pool += 1)
      this.#occupied[pool] = (this.#occupied[pool] ?? 0) * kept;
  }

  take(
    { firstOf, pools, rttMs }: PriceProblem,
    of: { readonly cell: number; readonly capacity: Float64Array; readonly priceMs: Float64Array | undefined },
  ): void {
    const { cell, capacity, priceMs } = of;
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let pair = firstOf[cell] ?? 0; pair < (firstOf[cell + 1] ?? 0); pair += 1) {
      const pool = pools[pair] ?? 0;
      if ((this.#occupied[pool] ?? 0) + 1 > (capacity[pool] ?? 0)) continue;
      const cost = (rttMs[pair] ?? 0) + (priceMs?.[pool] ?? 0);
      if (cost < least) [best, least] = [pool, cost];
    }
    if (best >= 0) this.#occupied[best] = (this.#occupied[best] ?? 0) + 1;
    this.withinRatio += ((best >= 0 ? 1 : 0) - this.withinRatio) / TRIAL_ARRIVALS;
  }
}
