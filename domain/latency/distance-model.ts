/**
 * The round trip to expect of a distance, as a line of each region fitted to what its clients measured. Pure, bounded.
 * Weighted least squares with forgetting. A region's line is drawn to that of all regions, and that one to what fibre
 * gives, until there is enough to say otherwise (ridge regression); residuals are clipped, so that it is near the median.
 */
import { assert } from "../assert.ts";
import { type Coordinates, distanceKm } from "../geography.ts";

/** Of the access network, however near the pool is. */
const ACCESS_MS = { prior: 3, min: 0.5, max: 50 } as const;
/**
 * Light in fibre covers 100 km there and back in a millisecond; no path is faster, the usual detour is a half, and five
 * times is a path over another continent, of which distance says nothing.
 */
const MS_PER_KM = { prior: 0.015, min: 0.01, max: 0.05 } as const;
/** Mean error as a share of the estimate; of nearby cities of the placement benchmark fibre alone is off by so much. */
const ERROR_RATIO = { prior: 0.4, max: 1 } as const;
/** Samples that the prior is worth, half of them at no distance and half that far: one client's probes are a third. */
const PRIOR_WEIGHT = 50;
const PRIOR_KM = 2000;
/** Weight after which a sample counts for a third: a network that changed is learnt within days of a thousand probes. */
const MEMORY_WEIGHT = 2000;
/** What is farther off than this share of the estimate, or so many milliseconds, counts as just so far: one liar tilts no line. */
const RESIDUAL_RATIO_MAX = 0.1;
const RESIDUAL_MS_MAX = 3;
/** As there are countries; the one not heard of for longest goes, and is estimated as all are. */
const REGIONS_MAX = 256;

export interface DistanceSample {
  readonly km: number;
  readonly rttMs: number;
  readonly weight: number;
}

export interface DistanceEstimate {
  readonly rttMs: number;
  /** What the estimates of the region have been off by in the mean, at this distance. */
  readonly errorMs: number;
}

/** Where nothing is known of a client's place: too far for any tier, so that it is told so and not promised what may not be. */
export const RTT_MS_UNKNOWN = 100;

interface Line {
  readonly accessMs: number;
  readonly msPerKm: number;
  readonly errorRatio: number;
}

const FIBRE: Line = { accessMs: ACCESS_MS.prior, msPerKm: MS_PER_KM.prior, errorRatio: ERROR_RATIO.prior };

/** What fibre with its usual detour gives, whatever has been measured. */
export function fibreRttMs(km: number): number {
  return rttMsOn(FIBRE, km);
}

export function fibreRttMsBetween(one: Coordinates, other: Coordinates): number {
  return fibreRttMs(distanceKm(one, other));
}

export class DistanceModel {
  readonly #all = new LineSums();
  /** In the order in which they were last heard of. */
  readonly #regions = new Map<string, LineSums>();

  get regionCount(): number {
    return this.#regions.size;
  }

  /** `region` is undefined where nothing is known of it. */
  learn(region: string | undefined, sample: DistanceSample): void {
    const { km, rttMs, weight } = sample;
    assert(km >= 0 && Number.isFinite(km), "a distance is a number of kilometres from 0");
    assert(weight > 0 && weight < MEMORY_WEIGHT, "a sample weighs less than all that is remembered");
    // Faster than light: who measured it is not where its address is said to be.
    if (rttMs < km * MS_PER_KM.min) return;
    if (region !== undefined) this.#touch(region).add(sample, this.#lineOf(region));
    this.#all.add(sample, this.#all.solve(FIBRE));
  }

  estimate(region: string | undefined, km: number): DistanceEstimate {
    const line = this.#lineOf(region);
    const rttMs = rttMsOn(line, km);
    return { rttMs, errorMs: line.errorRatio * rttMs };
  }

  #lineOf(region: string | undefined): Line {
    const all = this.#all.solve(FIBRE);
    const own = region === undefined ? undefined : this.#regions.get(region);
    return own === undefined ? all : own.solve(all);
  }

  #touch(region: string): LineSums {
    const sums = this.#regions.get(region) ?? new LineSums();
    this.#regions.delete(region);
    const oldest = this.#regions.keys().next();
    if (this.#regions.size >= REGIONS_MAX && oldest.done !== true) this.#regions.delete(oldest.value);
    this.#regions.set(region, sums);
    return sums;
  }
}

/** Of weighted samples, all that least squares needs. */
class LineSums {
  #weight = 0;
  #km = 0;
  #rttMs = 0;
  #kmKm = 0;
  #kmRttMs = 0;
  #errorRatio = 0;

  /** `line` is what was expected of the sample. */
  add({ km, rttMs, weight }: DistanceSample, line: Line): void {
    const expectedMs = rttMsOn(line, km);
    const reachMs = Math.max(RESIDUAL_MS_MAX, RESIDUAL_RATIO_MAX * expectedMs);
    const clippedMs = clamp(rttMs, { min: expectedMs - reachMs, max: expectedMs + reachMs });
    const errorRatio = Math.min(ERROR_RATIO.max, Math.abs(rttMs - expectedMs) / expectedMs);
    const kept = 1 - weight / MEMORY_WEIGHT;
    this.#weight = kept * this.#weight + weight;
    this.#km = kept * this.#km + weight * km;
    this.#rttMs = kept * this.#rttMs + weight * clippedMs;
    this.#kmKm = kept * this.#kmKm + weight * km * km;
    this.#kmRttMs = kept * this.#kmRttMs + weight * km * clippedMs;
    this.#errorRatio = kept * this.#errorRatio + weight * errorRatio;
  }

  /** The normal equations, with the prior as samples; a slope at its bound gives the access its best there. */
  solve(prior: Line): Line {
    const half = PRIOR_WEIGHT / 2;
    const weight = this.#weight + PRIOR_WEIGHT;
    const km = this.#km + half * PRIOR_KM;
    const rttMs = this.#rttMs + half * (prior.accessMs + rttMsOn(prior, PRIOR_KM));
    const kmKm = this.#kmKm + half * PRIOR_KM ** 2;
    const kmRttMs = this.#kmRttMs + half * PRIOR_KM * rttMsOn(prior, PRIOR_KM);
    const msPerKm = clamp((weight * kmRttMs - km * rttMs) / (weight * kmKm - km ** 2), MS_PER_KM);
    const accessMs = clamp((rttMs - km * msPerKm) / weight, ACCESS_MS);
    return { accessMs, msPerKm, errorRatio: (this.#errorRatio + PRIOR_WEIGHT * prior.errorRatio) / weight };
  }
}

function rttMsOn({ accessMs, msPerKm }: Line, km: number): number {
  return accessMs + msPerKm * km;
}

function clamp(value: number, { min, max }: { readonly min: number; readonly max: number }): number {
  return Math.min(max, Math.max(min, value));
}
