/**
 * Quantiles of weighted round trips in bounded memory, of which old ones count for less. Pure: time is an argument.
 * A merging digest (Dunning and Ertl 2019): exact until it is full, then finest at both ends. Ages by forward decay
 * (Cormode, Shkapenyuk, Srivastava, Xu 2009): a new sample counts for more, so that no old one need be touched.
 */
import { assert } from "../assert.ts";

/** Half a kilobyte; finest where the 95th percentile is. */
const CENTROIDS_MAX = 32;
const CENTROIDS_AT_FIRST = 8;
/** Four in a day: the same hour of yesterday still counts, a sixteenth of now. */
const HALF_LIFE_MS = 21_600_000;
/** Growth of weights after which all are scaled back: 2^64 is far from the end of a double. */
const HALF_LIVES_MAX = 64;

export class RttDigest {
  #means = new Float64Array(CENTROIDS_AT_FIRST);
  #weights = new Float64Array(CENTROIDS_AT_FIRST);
  #size = 0;
  /** Of all centroids, as of the landmark. */
  #total = 0;
  #landmarkMs: number;

  constructor(atMs: number) {
    this.#landmarkMs = atMs;
  }

  get centroidCount(): number {
    return this.#size;
  }

  /** A sample that is late counts as one of its own time. */
  add(rttMs: number, weight: number, atMs: number): void {
    assert(weight > 0 && Number.isFinite(weight), "a sample has a weight");
    if (atMs - this.#landmarkMs > HALF_LIVES_MAX * HALF_LIFE_MS) this.#moveLandmark(atMs);
    const grown = Math.max(Number.MIN_VALUE, weight * growthOf(atMs - this.#landmarkMs));
    if (this.#size === CENTROIDS_MAX) this.#mergeCheapest();
    if (this.#size === this.#means.length) this.#grow();
    let place = this.#size;
    while (place > 0 && at(this.#means, place - 1) > rttMs) {
      this.#means[place] = at(this.#means, place - 1);
      this.#weights[place] = at(this.#weights, place - 1);
      place -= 1;
    }
    this.#means[place] = rttMs;
    this.#weights[place] = grown;
    this.#size += 1;
    this.#total += grown;
  }

  /** What is left of the weight of all samples. */
  weightAt(nowMs: number): number {
    return this.#total / growthOf(nowMs - this.#landmarkMs);
  }

  /** The nearest rank: the least round trip that so much of the weight does not exceed. */
  quantileMs(ratio: number): number {
    assert(this.#size > 0, "an empty digest has no quantile");
    const aim = ratio * this.#total;
    let sum = 0;
    for (let index = 0; index < this.#size - 1; index += 1) {
      sum += at(this.#weights, index);
      if (sum >= aim * (1 - Number.EPSILON * CENTROIDS_MAX)) return at(this.#means, index);
    }
    return at(this.#means, this.#size - 1);
  }

  /** Two neighbours become one where that costs least: little weight, in the middle. */
  #mergeCheapest(): void {
    let cheapest = 0;
    let least = Number.POSITIVE_INFINITY;
    let below = 0;
    for (let index = 0; index < this.#size - 1; index += 1) {
      const weight = at(this.#weights, index) + at(this.#weights, index + 1);
      const middle = (below + weight / 2) / this.#total;
      const cost = weight / Math.max(Number.MIN_VALUE, middle * (1 - middle));
      if (cost < least) [cheapest, least] = [index, cost];
      below += at(this.#weights, index);
    }
    const [left, right] = [at(this.#weights, cheapest), at(this.#weights, cheapest + 1)];
    const share = right / (left + right);
    const mean = at(this.#means, cheapest);
    this.#means[cheapest] = mean + share * (at(this.#means, cheapest + 1) - mean);
    this.#weights[cheapest] = left + right;
    this.#means.copyWithin(cheapest + 1, cheapest + 2, this.#size);
    this.#weights.copyWithin(cheapest + 1, cheapest + 2, this.#size);
    this.#size -= 1;
  }

  #moveLandmark(atMs: number): void {
    const shrink = 1 / growthOf(atMs - this.#landmarkMs);
    this.#total = 0;
    for (let index = 0; index < this.#size; index += 1) {
      // What is too old to count at all still orders the centroids.
      this.#weights[index] = Math.max(Number.MIN_VALUE, at(this.#weights, index) * shrink);
      this.#total += at(this.#weights, index);
    }
    this.#landmarkMs = atMs;
  }

  #grow(): void {
    const grow = (from: Float64Array) => {
      const wider = new Float64Array(Math.min(CENTROIDS_MAX, from.length * 2));
      wider.set(from);
      return wider;
    };
    this.#means = grow(this.#means);
    this.#weights = grow(this.#weights);
  }
}

function growthOf(ms: number): number {
  return 2 ** (ms / HALF_LIFE_MS);
}

function at(numbers: Float64Array, index: number): number {
  return numbers[index] ?? Number.NaN;
}
