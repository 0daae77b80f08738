/** What the torture of the ledger is judged by: agents refuse what they have no slot for, and time runs as said. */
import t from "tap";
import { PoolAgents } from "./agents.ts";
import { TimedCalls } from "./timed-calls.ts";

const young = { exp: 1_000, nowMs: 1_000_000 };

t.test("a second session meets no slot where there is one; the same one gets its lease again", async (t) => {
  const agents = new PoolAgents("near", 1);
  t.equal(agents.grant("s-1", 1, young), "leased");
  t.equal(agents.grant("s-1", 2, young), "leased");
  t.equal(agents.grant("s-2", 1, young), "no-slot");
  agents.end("s-1");
  t.equal(agents.free, 1);
  t.equal(agents.grant("s-2", 1, { exp: 1_000, nowMs: 1_005_000 }), "leased", "within the allowance for clocks");
  agents.end("s-2");
  t.equal(agents.grant("s-3", 1, { exp: 1_000, nowMs: 1_005_001 }), "expired");
});

t.test("promises for more than the slots are seen when they are made, whoever comes", async (t) => {
  const agents = new PoolAgents("near", 2);
  agents.grant("s-1", 1, young);
  t.equal(agents.promise("s-1", young), true, "moves within its pool");
  t.equal(agents.promise("s-2", young), true);
  t.equal(agents.promise("s-3", young), false);
  t.equal(agents.promise("s-4", { exp: 2_000, nowMs: 1_005_001 }), true, "nobody comes with the others any more");
});

t.test("what is reported is as an agent told it last, up to two seconds ago", async (t) => {
  const agents = new PoolAgents("near", 2);
  agents.tell(0, 0);
  agents.grant("s-1", 1, { exp: 30, nowMs: 1_000 });
  const freeAt = (nowMs: number) =>
    agents.report(0, nowMs).agents.flatMap(({ slots }) => slots.map(({ free }) => free));
  t.same([freeAt(1_999), freeAt(2_000)], [[2], [1]]);
  agents.end("s-1");
  t.same(agents.report(1, 2_100).agents[0]?.sessions, [], "each edge is told for itself");
  t.same(freeAt(2_200), [1]);
});

t.test("calls come when they are due, and not before", async (t) => {
  const calls = new TimedCalls(0);
  const seen: number[] = [];
  for (const atMs of [300, 120, 100]) calls.add(atMs, () => seen.push(atMs));
  calls.run(99);
  t.same(seen, []);
  calls.run(150);
  t.same(seen, [100, 120]);
  calls.run(1_000);
  t.same(seen, [100, 120, 300]);
});
