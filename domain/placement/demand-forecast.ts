/**
 * Forecasts how many sessions each client cell begins in a unit of time, from what was expected and what came. Pure.
 *
 * Arrivals are Poisson with a rate that is Gamma distributed before anything is seen: the posterior mean is
 * `(shape + arrivals) / (shape / expected + time)`. What came counts less as it ages, so that a change is followed.
 */
import { assert } from "../assert.ts";

/** Of a forecast that is off by 30 % in the standard deviation: 1 / 0.3². */
const PRIOR_SHAPE = 11;
/** A cell of which nothing was expected; keeps the prior proper. */
const EXPECTED_MIN = 1e-6;

export class DemandForecast {
  readonly #expected: Float64Array;
  readonly #arrivals: Float64Array;
  readonly #memory: number;
  #time = 0;

  /** `expected` arrivals of each cell in a unit of time; what came `memory` units ago counts by 1/e. */
  constructor(expected: Float64Array, memory: number) {
    assert(memory > 0, "a forecast remembers for some time");
    this.#expected = expected.map((rate) => Math.max(EXPECTED_MIN, rate));
    this.#arrivals = new Float64Array(expected.length);
    this.#memory = memory;
  }

  /** What came in `time` units since the last call. */
  observe(arrivals: ArrayLike<number>, time: number): void {
    assert(time > 0, "arrivals are seen over some time");
    const kept = Math.exp(-time / this.#memory);
    this.#time = this.#time * kept + time;
    for (let cell = 0; cell < this.#arrivals.length; cell += 1) {
      this.#arrivals[cell] = (this.#arrivals[cell] ?? 0) * kept + (arrivals[cell] ?? 0);
    }
  }

  /** Arrivals to expect of each cell in a unit of time. */
  rates(): Float64Array {
    return this.#expected.map(
      (expected, cell) => (PRIOR_SHAPE + (this.#arrivals[cell] ?? 0)) / (PRIOR_SHAPE / expected + this.#time),
    );
  }
}
