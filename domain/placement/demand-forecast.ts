/**
 * Forecasts how many sessions each client cell begins in a unit of time, from what was expected and what came. Pure.
 *
 * Arrivals are Poisson with a rate that is Gamma distributed before anything is seen: the posterior mean is
 * `(shape + arrivals) / (shape / expected + time)`. What came counts less as it ages, so that a change is followed.
 */
import { assert } from "../assert.ts";

/** Of a forecast that is off by 30 % in the standard deviation: 1 / 0.3². */
const PRIOR_SHAPE = 11;
/** For `shape`, where nobody has forecast: what comes outweighs what was expected at once. */
export const PRIOR_SHAPE_UNKNOWN = 0.25;
/** A cell of which nothing was expected; keeps the prior proper. */
const EXPECTED_MIN = 1e-6;
/** Stays that have to end before what is seen outweighs what was expected of a stay. */
const STAYS_EXPECTED = 10;
/** The longest session that a policy can permit. */
const STAY_SECONDS_MAX = 86_400;

export class DemandForecast {
  readonly #expected: Float64Array;
  readonly #arrivals: Float64Array;
  /** For how long each cell has been seen. */
  readonly #times: Float64Array;
  readonly #memory: number;
  readonly #shape: number;

  /** `expected` arrivals of each cell in a unit of time; what came `memory` units ago counts by 1/e. */
  constructor(expected: Float64Array, memory: number, shape = PRIOR_SHAPE) {
    assert(memory > 0, "a forecast remembers for some time");
    this.#expected = expected.map((rate) => Math.max(EXPECTED_MIN, rate));
    this.#arrivals = new Float64Array(expected.length);
    this.#times = new Float64Array(expected.length);
    this.#memory = memory;
    this.#shape = shape;
  }

  /** The cell is another one from now on, of which nothing has come. */
  restart(cell: number, expected: number): void {
    this.#expected[cell] = Math.max(EXPECTED_MIN, expected);
    this.#arrivals[cell] = 0;
    this.#times[cell] = 0;
  }

  /** What came in `time` units since the last call. */
  observe(arrivals: ArrayLike<number>, time: number): void {
    assert(time > 0, "arrivals are seen over some time");
    const kept = Math.exp(-time / this.#memory);
    for (let cell = 0; cell < this.#arrivals.length; cell += 1) {
      this.#times[cell] = (this.#times[cell] ?? 0) * kept + time;
      this.#arrivals[cell] = (this.#arrivals[cell] ?? 0) * kept + (arrivals[cell] ?? 0);
    }
  }

  /** Arrivals to expect of each cell in a unit of time. */
  rates(): Float64Array {
    return this.#expected.map((expected, cell) => {
      const time = this.#shape / expected + (this.#times[cell] ?? 0);
      return (this.#shape + (this.#arrivals[cell] ?? 0)) / time;
    });
  }
}

/**
 * Sessions of a cell at once in one expected stay from now: of those that run e⁻¹ are left, and others have come. Who is
 * placed now meets them. `arrivals` are those in a stay, which is how many there are at once while nothing changes.
 */
export function sessionsInOneStay(running: number, arrivals: number): number {
  return running * Math.exp(-1) + arrivals * (1 - Math.exp(-1));
}

/**
 * How long sessions stay, while some of them still do: the time that all of them have run by the number that ended,
 * which is the likeliest mean of exponential stays. Both age.
 */
export class StayEstimate {
  readonly #memorySeconds: number;
  readonly #expectedSeconds: number;
  #ranSeconds: number;
  #ended = STAYS_EXPECTED;

  /** What was seen `memorySeconds` ago counts by 1/e. */
  constructor(expectedSeconds: number, memorySeconds: number) {
    assert(expectedSeconds > 0 && memorySeconds > 0, "a stay lasts for some time");
    this.#expectedSeconds = expectedSeconds;
    this.#memorySeconds = memorySeconds;
    this.#ranSeconds = expectedSeconds * STAYS_EXPECTED;
  }

  /** In `seconds` since the last call `running` sessions ran, on average, and `ended` ended. */
  observe({ seconds, running, ended }: { seconds: number; running: number; ended: number }): void {
    const kept = Math.exp(-seconds / this.#memorySeconds);
    const prior = (1 - kept) * STAYS_EXPECTED;
    this.#ranSeconds = this.#ranSeconds * kept + prior * this.#expectedSeconds + running * seconds;
    this.#ended = this.#ended * kept + prior + ended;
  }

  get seconds(): number {
    return Math.min(STAY_SECONDS_MAX, this.#ranSeconds / this.#ended);
  }
}
