import t from "tap";
import {
  dampingOf,
  ForecastRecord,
  forecastError,
  guardPrices,
  isContended,
  PriceTrial,
  predictUtilisation,
  TRIAL_ARRIVALS,
} from "./price-guard.ts";
import type { PriceProblem } from "./prices.ts";

/** Cell 0 has only pool 0, cell 1 both. */
const PROBLEM: PriceProblem = {
  firstOf: Uint32Array.of(0, 1, 3),
  pools: Uint16Array.of(0, 0, 1),
  rttMs: Float32Array.of(5, 4, 12),
  demand: Float64Array.of(40, 60),
  capacity: Float64Array.of(50, 100),
};

t.test("the use predicted is that of the fullest pool if all took the nearest", (t) => {
  t.equal(predictUtilisation(PROBLEM), 2);
  t.ok(isContended(PROBLEM));
  t.notOk(isContended({ ...PROBLEM, demand: Float64Array.of(20, 15) }), "exactly 70 % is not above it");
  t.equal(predictUtilisation({ ...PROBLEM, demand: Float64Array.of(0, 0) }), 0);
  t.end();
});

t.test("what chance explains is no error of the forecast", (t) => {
  t.equal(forecastError([100, 100], [104, 97]), 0);
  t.ok(forecastError([100, 100], [200, 0]) > 0.9);
  t.equal(forecastError([], []), 0);
  t.equal(dampingOf(0), 1);
  t.equal(dampingOf(1), 0.5);
  t.end();
});

t.test("small numbers are off by chance, and a record of some time tells", (t) => {
  let state = 3;
  // Lehmer's generator with the constants of Park and Miller.
  const ratio = () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  const poisson = (rate: number) => {
    let count = 0;
    let product = ratio();
    while (product > Math.exp(-rate)) {
      product *= ratio();
      count += 1;
    }
    return count;
  };
  const errorOf = (factor: number) => {
    const record = new ForecastRecord(200, 1);
    const expected = new Float64Array(200).fill(0.1);
    for (let turn = 0; turn < 60; turn += 1)
      record.observe(
        expected,
        expected.map((rate) => poisson(rate * factor)),
        1 / 60,
      );
    return record.error;
  };
  t.ok(errorOf(1) < 0.1, `right, got ${errorOf(1)}`);
  t.ok(errorOf(3) > 1, `a third of what came, got ${errorOf(3)}`);
  const gone = new ForecastRecord(1, 1);
  gone.observe([1], [50], 0.1);
  gone.restart(0);
  t.equal(gone.error, 0);
  t.end();
});

t.test("a pool below 70 % either way has no price, and a wrong forecast halves the others", (t) => {
  const solution = { priceMs: Float64Array.of(20, 3), load: Float64Array.of(47, 53) };
  t.same([...guardPrices(PROBLEM, solution, 0)], [20, 0], "53 of 100 are no contention");
  t.same([...guardPrices(PROBLEM, solution, 1)], [10, 0]);
  t.same([...guardPrices(PROBLEM, { ...solution, load: Float64Array.of(47, 95) }, 0)], [20, 3], "full by the prices");
  t.end();
});

t.test("good prices lead, and bad ones are found out", (t) => {
  const run = (problem: PriceProblem, priceMs: Float64Array) => {
    const trial = new PriceTrial(problem.capacity.length);
    for (let arrival = 0; arrival < 3 * TRIAL_ARRIVALS; arrival += 1) {
      trial.pass(1 / 100);
      trial.arrive(problem, arrival % 5 < 2 ? 0 : 1, priceMs);
    }
    return trial;
  };
  const good = run(PROBLEM, Float64Array.of(20, 0));
  t.ok(good.lead > 0, `who can go elsewhere does, got a lead of ${good.lead}`);
  t.notOk(good.arePricesLosing);
  t.equal(run(PROBLEM, Float64Array.of(0, 0)).lead, 0, "no price, no difference");
  // Cell 1 is nearest to pool 1 and is driven to the only pool that cell 0 has.
  const nearOwn = { ...PROBLEM, rttMs: Float32Array.of(5, 12, 4) };
  const bad = run(nearOwn, Float64Array.of(0, 100));
  t.ok(bad.arePricesLosing, `prices lose, got a lead of ${bad.lead}`);
  t.end();
});

t.test("few arrivals say nothing", (t) => {
  const trial = new PriceTrial(PROBLEM.capacity.length);
  for (let arrival = 0; arrival < TRIAL_ARRIVALS - 1; arrival += 1) trial.arrive(PROBLEM, 0, Float64Array.of(0, 0));
  t.equal(trial.lead, 0);
  t.end();
});
