import fc from "fast-check";
import t from "tap";
import { addDemand, chooseLeastContested } from "./contention.ts";

t.test("the pool that others have to have is left to them, though it is emptier", async (t) => {
  const demand = new Float64Array(2);
  addDemand(demand, [0], 30);
  addDemand(demand, [0, 1], 4);
  t.same([...demand], [32, 2]);
  t.equal(chooseLeastContested([0, 1], { demand, slotsFree: [10, 3] }), 1);
  t.equal(chooseLeastContested([0, 1], { demand, slotsFree: [10, 0] }), 0, "a full pool is none");
  t.equal(chooseLeastContested([0, 1], { demand, slotsFree: [0, 0] }), undefined);
});

t.test("where nothing is expected, the one with the most free slots", async (t) => {
  t.equal(chooseLeastContested([2, 0, 1], { demand: new Float64Array(3), slotsFree: [4, 7, 5] }), 1);
  t.equal(chooseLeastContested([2, 0], { demand: [], slotsFree: [4, 0, 4] }), 2, "of two as good, the first");
});

t.test("no session is counted twice or lost, and the choice is one of the given with a free slot", async (t) => {
  const groups = fc.array(
    fc.tuple(fc.uniqueArray(fc.nat(9), { minLength: 1 }), fc.double({ min: 0, max: 100, noNaN: true })),
    { maxLength: 30 },
  );
  const free = fc.array(fc.nat(3), { minLength: 10, maxLength: 10 });
  const holds = fc.property(groups, free, (list, slotsFree) => {
    const demand = new Float64Array(10);
    for (const [pools, sessions] of list) addDemand(demand, pools, sessions);
    const counted = demand.reduce((sum, part) => sum + part, 0);
    const given = list.reduce((sum, [, sessions]) => sum + sessions, 0);
    const isRight = list.every(([pools]) => {
      const chosen = chooseLeastContested(pools, { demand, slotsFree });
      const open = pools.filter((pool) => (slotsFree[pool] ?? 0) > 0);
      return chosen === undefined ? open.length === 0 : open.includes(chosen);
    });
    return isRight && Math.abs(counted - given) <= 1e-9 * (1 + given);
  });
  t.doesNotThrow(() => fc.assert(holds));
});
