/** Some seeds of the simulation, and that a seed is all that a run depends on. */
import t from "tap";
import { seededRandom } from "#platform/random.ts";
import { FAULT_KINDS, planFaults } from "./faults.ts";
import { simulate } from "./simulate.ts";
import { World } from "./world.ts";

const SEEDS = 20;

t.test(`every invariant holds in the runs of ${SEEDS} seeds`, async (t) => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { violations, steps } = await simulate({ seed });
    t.same(violations, [], `npm run simulate -- --seed ${seed}`);
    t.ok(steps > 100, `seed ${seed} has ${steps} steps`);
  }
});

t.test("two runs of a seed are the same to the byte, those of two seeds are not", async (t) => {
  for (const relays of [false, true]) {
    const first = await simulate({ seed: 7, relays });
    const again = await simulate({ seed: 7, relays, print: () => undefined });
    const other = await simulate({ seed: 8, relays });
    t.same(again, first, `relays: ${relays}`);
    t.not(other.trace, first.trace, `relays: ${relays}`);
  }
});

t.test("seeds choose whether edges relay for one another, and where they do it begins before the faults", async (t) => {
  const chosen = Array.from({ length: 200 }, (_, seed) => {
    using world = new World({ seed });
    return world.hasRelays;
  });
  t.ok([true, false].every((hasRelays) => chosen.filter((has) => has === hasRelays).length > 60));
  const lines: string[] = [];
  await simulate({ seed: 1, relays: true, print: (line) => void lines.push(line) });
  const relayed = lines.findIndex((line) => /hears the origin by (near|far)-/.test(line));
  t.ok(relayed >= 0 && relayed < lines.findIndex((line) => line.includes("fault:")));
});

t.test("seeds choose among all kinds of faults", async (t) => {
  const plans = Array.from({ length: 200 }, (_, seed) => planFaults(seededRandom(seed), FAULT_KINDS, 60_000));
  t.same([...new Set(plans.flat().map(({ kind }) => kind))].sort(), [...FAULT_KINDS].sort());
});
