import t from "tap";
import { fuzzLanes } from "./lanes.ts";

const CASES = 20_000;

t.test("what the fast lane takes for a request node:http takes for the same, and nothing throws", async (t) => {
  const { accepted, simple, faults } = await fuzzLanes({ cases: CASES, seed: 7 });
  t.same(faults, []);
  t.ok(accepted > CASES / 10 && simple > CASES / 20, `${accepted} accepted, ${simple} of them simple`);
});
