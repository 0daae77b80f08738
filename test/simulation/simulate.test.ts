/** Some seeds of the simulation, and that a seed is all that a run depends on. */
import t from "tap";
import { seededRandom } from "#platform/random.ts";
import { FAULT_KINDS, planFaults } from "./faults.ts";
import { simulate } from "./simulate.ts";

const SEEDS = 20;

t.test(`every invariant holds in the runs of ${SEEDS} seeds`, async (t) => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { violations, steps } = await simulate({ seed });
    t.same(violations, [], `npm run simulate -- --seed ${seed}`);
    t.ok(steps > 100, `seed ${seed} has ${steps} steps`);
  }
});

t.test("two runs of a seed are the same to the byte, those of two seeds are not", async (t) => {
  const first = await simulate({ seed: 7 });
  const again = await simulate({ seed: 7, print: () => undefined });
  const other = await simulate({ seed: 8 });
  t.same(again, first);
  t.not(other.trace, first.trace);
});

t.test("seeds choose among all kinds of faults", async (t) => {
  const plans = Array.from({ length: 200 }, (_, seed) => planFaults(seededRandom(seed), FAULT_KINDS, 60_000));
  t.same([...new Set(plans.flat().map(({ kind }) => kind))].sort(), [...FAULT_KINDS].sort());
});
