/** Sessions between pools that are as near, by who else is expected there, beside the same sessions without. */
import t from "tap";
import { countOf, ROUNDS_JUDGED, runDemand } from "./demand-world.test.ts";

/** Half of those who come have two pools within 1 ms, of which the nearer one is the only one of the other half. */
const kinds = {
  flexible: { groups: ["cell:1,1"], rttMs: { near: 4, middle: 4.5, far: 60 } },
  bound: { groups: ["cell:2,2"], rttMs: { near: 4, middle: 40, far: 60 } },
};
/** So many that nothing has a price. */
const roomy = { kinds, slots: [1_000, 1_000] } as const;

t.test("of two pools as near those with a choice leave the one to others that they have to have", async (t) => {
  const plain = await runDemand(t, { ...roomy, isPricing: false });
  const expecting = await runDemand(t, { ...roomy, isPricing: true });
  t.equal(countOf(plain.flexible, "near"), ROUNDS_JUDGED, `without, went ${plain.flexible.join()}`);
  t.notMatch(plain.why, /expected/);

  t.equal(countOf(expecting.flexible, "middle"), ROUNDS_JUDGED, `went ${expecting.flexible.join()}`);
  t.equal(countOf(expecting.bound, "near"), ROUNDS_JUDGED);
  const { version, expectedByPool } = expecting.published.current();
  t.equal(version, 0, "nothing has a price");
  t.ok((expectedByPool.get("near") ?? 0) > 2 * (expectedByPool.get("middle") ?? 0), `${[...expectedByPool]}`);
  t.match(expecting.why, /of pools within 1 ms the fewest expected for each free slot \(0\.\d beside 0\.\d\)/);
});
