import fc from "fast-check";
import t from "tap";
import { addDemand, expectSessions } from "./contention.ts";
import { decide, pool } from "./decision-world.test.ts";
import { explainPlacement } from "./explain.ts";

t.test("a group's sessions count evenly at the pools that are as near as its nearest", async (t) => {
  const expected = new Float64Array(4);
  addDemand(expected, { pools: [3, 0, 1, 2], rttMs: [1, 5, 4.5, 5.6], from: 1, to: 4 }, 6);
  t.same([...expected], [3, 3, 0, 0]);
  const firstOf = [0, 2, 2, 3];
  const sums = expectSessions({ firstOf, pools: [0, 1, 0], rttMs: [4, 4, 9], demand: [4, 7, 30] }, 3);
  t.same([...sums], [32, 2, 0], "a cell that has no pool within its limit wants none");
});

t.test("no session is counted twice or lost", async (t) => {
  const rows = fc.array(
    fc.tuple(fc.uniqueArray(fc.nat(9), { minLength: 1 }), fc.double({ min: 0, max: 100, noNaN: true })),
    { maxLength: 30 },
  );
  const holds = fc.property(rows, fc.infiniteStream(fc.double({ min: 0, max: 3, noNaN: true })), (list, rtts) => {
    const firstOf = [0];
    for (const [pools] of list) firstOf.push((firstOf.at(-1) ?? 0) + pools.length);
    const pools = list.flatMap(([pools]) => pools);
    const demand = list.map(([, sessions]) => sessions);
    const sums = expectSessions({ firstOf, pools, rttMs: pools.map(() => rtts.next().value), demand }, 10);
    const given = demand.reduce((sum, sessions) => sum + sessions, 0);
    return Math.abs(sums.reduce((sum, part) => sum + part, 0) - given) <= 1e-9 * (1 + given);
  });
  t.doesNotThrow(() => fc.assert(holds));
});

t.test("the pool that others have to have is left to them, though it is nearer and emptier", async (t) => {
  const wanted = pool("a", 4, { slotsFree: 10, expectedSessions: 30 });
  const spared = pool("b", 4.2, { slotsFree: 6, expectedSessions: 2 });
  t.match(decide([wanted, spared]).outcome, { state: "placed", pool: "b" });
  t.match(decide([{ ...wanted, expectedSessions: 0 }, spared]).outcome, { pool: "a" }, "1 for 10 slots beside 3 for 6");
  t.match(decide([wanted, { ...spared, slotsFree: 0 }]).outcome, { pool: "a", marginMs: undefined });
  t.match(decide([wanted, { ...spared, rttMs: 4.3 }]).outcome, { pool: "a" }, "with its fill it is 1.1 ms farther");
  const unknown = { expectedSessions: undefined };
  t.match(
    decide([
      { ...wanted, ...unknown },
      { ...spared, ...unknown },
    ]).outcome,
    { pool: "a" },
    "nobody counts",
  );
});

t.test("what is as near is the same where it is decided and where it is told, also at the last bit", async (t) => {
  const nearest = pool("nearest", 4.1, { slotsTotal: 20, slotsFree: 21, expectedSessions: 2 });
  const spared = pool("spared", 4, { slotsTotal: 20, slotsFree: 10, expectedSessions: 0 });
  t.match(decide([nearest, spared]).outcome, { pool: "spared" }, "3.9999999999999996 and 1 are 5");
});

t.test("of two as contested the lower score wins, and then the first by name", async (t) => {
  const same = { slotsFree: 10, expectedSessions: 4 };
  t.match(decide([pool("a", 4.5, same), pool("b", 4, same)]).outcome, { pool: "b", marginMs: 0.5 });
  t.match(decide([pool("b", 4, same), pool("a", 4, same)]).outcome, { pool: "a", marginMs: 0 });
});

t.test("a session stays where it runs, and one that moves goes to nothing that is as far", async (t) => {
  const wanted = { expectedSessions: 60 };
  const spared = pool("b", 4.125, { expectedSessions: 0 });
  t.match(decide([pool("a", 4, wanted), spared], {}, "a").outcome, { pool: "a", marginMs: 2.125 });
  t.match(decide([pool("a", 4, wanted), spared], { stickinessMs: 0 }, "a").outcome, { pool: "a" });
  const better = [pool("a", 5, wanted), spared, pool("c", 3.75, wanted)];
  t.match(decide(better, { stickinessMs: 0.5 }, "a").outcome, { pool: "b", marginMs: -0.375 });
  t.match(decide(better, { stickinessMs: 1 }, "a").outcome, { pool: "c" }, "b is no nearer than where it is");
  const left = [pool("a", 19, wanted), spared, pool("c", 3.8, wanted)];
  t.match(decide(left, { stickinessMs: 40 }, "a").outcome, { pool: "b" }, "its own pool is beyond the limit");
});

t.test("what decided is said: the contention of the one chosen beside the next", async (t) => {
  const explain = (...pools: Parameters<typeof pool>[]) => {
    const { record, ids } = decide(pools.map((each) => pool(...each)));
    return explainPlacement(record, { poolName: (id) => ids.nameOf(id), constraints: [] });
  };
  const lines = explain(
    ["near-1", 4, { expectedSessions: 56 }],
    ["near-2", 4.3, { expectedSessions: 30 }],
    ["near-3", 4.9, { expectedSessions: 99 }],
    ["far", 9, { expectedSessions: 20 }],
  );
  t.equal(
    lines[0],
    "within the limit: near-2, 0.3 ms behind the lowest score: of pools within 1 ms the fewest expected for each free slot (3.1 beside 5.7)",
  );
  t.match(lines[2], /^near-1: .* \+ stickiness 0\.0; 5\.7 expected for each free slot$/);
  t.notMatch(lines[1], /expected/, "far: what was not chosen among says nothing of it");
  const [nearest] = explain(["near-1", 4, { expectedSessions: 5 }], ["near-2", 4.3, { expectedSessions: 30 }]);
  t.equal(
    nearest,
    "within the limit: near-1, ahead by 0.3 ms: of pools within 1 ms the fewest expected for each free slot (0.6 beside 3.1)",
  );
});
