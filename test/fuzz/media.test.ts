import t from "tap";
import { fuzzMedia } from "./media.ts";

const CASES = 20_000;

t.test("whatever comes to a session is refused by name or within its bounds, and nothing throws", async (t) => {
  const { counts, faults } = await fuzzMedia({ cases: CASES, seed: 7 });
  t.same(faults, []);
  for (const [name, { taken, refused }] of counts) {
    t.ok(taken + refused > 0 && (name === "grant" || taken > 0), `${name}: ${taken} taken, ${refused} refused`);
  }
  t.ok((counts.get("pose")?.taken ?? 0) > CASES / 100, "poses are taken");
});

t.test("a case is the same by its number alone", async (t) => {
  const together = await fuzzMedia({ cases: 40, seed: 3 });
  const apart = await Promise.all(Array.from({ length: 40 }, (_, from) => fuzzMedia({ cases: 1, seed: 3, from })));
  for (const [name, count] of together.counts) {
    const sum = apart.reduce((taken, { counts }) => taken + (counts.get(name)?.taken ?? 0), 0);
    t.equal(sum, count.taken, name);
  }
});
