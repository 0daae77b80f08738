import fc from "fast-check";
import t from "tap";
import { decide, pool, type SeenDecision } from "./decision-world.test.ts";
import { explainCounterfactuals, explainPlacement } from "./explain.ts";

const words = ({ ids }: SeenDecision) => ({ poolName: (id: number) => ids.nameOf(id), constraints: [] });
const explain = (decision: SeenDecision) => explainPlacement(decision.record, words(decision));

t.test("the lowest RTT within the limit wins, and by how much is said", async (t) => {
  const decision = decide([pool("middle", 17), pool("near", 4), pool("far", 60)]);
  t.same(decision.outcome, { state: "placed", pool: "near", marginMs: 13 });
  t.same(explain(decision), [
    "within the limit: near, ahead by 13.0 ms",
    "far: RTT 60.0 ms (measured), limit 18.0 ms; fails over-limit: RTT 60.0 ms > limit 18.0 ms",
    "middle: RTT 17.0 ms (measured), limit 18.0 ms; score 17.0 = rtt 17.0 + price 0.0 + fill 0.0 + preference 0.0 + stickiness 0.0",
    "near: RTT 4.0 ms (measured), limit 18.0 ms; score 4.0 = rtt 4.0 + price 0.0 + fill 0.0 + preference 0.0 + stickiness 0.0",
  ]);
});

t.test("what an estimate by distance may be off by is said, and where it is assumed", async (t) => {
  const estimated = { rttSource: "geography", geographyRttMs: 9 } as const;
  const decision = decide([
    pool("a", 11, { ...estimated, rttErrorMs: 4.4 }),
    pool("b", 12, estimated),
    pool("c", 100, { rttSource: "geography" }),
    pool("d", 4, { rttSource: "history", geographyRttMs: 9 }),
  ]);
  const sources = explain(decision).flatMap((line) => line.match(/^\w: RTT [\d.]+ ms \((.+?)\)/)?.slice(1) ?? []);
  t.same(sources, ["distance model, ± 4.4 ms", "distance model", "assumed: the client's place is unknown", "history"]);
});

t.test("the first failing rule of a rejected pool is kept", async (t) => {
  const constraints = [{ label: "region", operator: "In", values: ["eu"] }] as const;
  const eu = { region: "eu" };
  const cases = [
    [{ reachable: false, draining: true }, "unreachable"],
    [{ draining: true, cordoned: true }, "draining"],
    [{ cordoned: true }, "cordoned"],
    [{ labels: { region: "us" }, slotsFree: 0 }, "label-constraint"],
    [{ labels: eu, rttMs: 19, slotsFree: 0 }, "over-limit"],
    [{ labels: eu, slotsFree: 0 }, "no-free-slot"],
    [{ labels: eu, slotsFree: 2 }, "capacity-reserve"],
    [{ labels: eu, slotsFree: 3 }, undefined],
  ] as const;
  for (const [changes, rule] of cases) {
    const decision = decide([pool("near", 4, changes)], { constraints, capacityReserveRatio: 0.2 });
    t.equal(decision.considered[0]?.rule, rule);
  }
});

t.test("prices, preferences and stickiness move the choice", async (t) => {
  const two = [pool("a", 4, { labels: { cost: "low" } }), pool("b", 6)];
  t.match(decide(two).outcome, { pool: "a" });
  t.match(decide([pool("a", 4, { priceMs: 3 }), pool("b", 6)]).outcome, { pool: "b", marginMs: 1 });
  const repel = [{ label: "cost", operator: "Exists", bonusMs: -5 }] as const;
  t.match(decide(two, { preferences: repel }).outcome, { pool: "b", marginMs: 3 });
  t.match(decide(two, { stickinessMs: 3 }, "b").outcome, { pool: "b", marginMs: 1 });
});

t.test("a scene that has to be waited for moves the choice within the limit, and keeps no pool out", async (t) => {
  const lacking = pool("a", 4, { bundleMs: 7 });
  const decision = decide([lacking, pool("b", 6)]);
  t.match(decision.outcome, { state: "placed", pool: "b", marginMs: 5 });
  t.match(explain(decision)[1], /score 11\.0 = .* \+ stickiness 0\.0 \+ missing bundle 7\.0$/);
  t.notMatch(explain(decision)[2], /missing bundle/);
  t.match(decide([pool("a", 4, { bundleMs: 40 }), pool("b", 60)]).outcome, { state: "placed", pool: "a" });
});

t.test("what fits nowhere is degraded to spare capacity, queued or rejected, as the policy says", async (t) => {
  const far = [pool("far", 40), pool("near", 4, { slotsFree: 0 })];
  t.match(decide(far).outcome, { state: "degraded", pool: "far" });
  t.same(decide(far, { onNoFit: "queue" }).outcome, { state: "queued", bestAchievableMs: 16 });
  t.same(decide(far, { onNoFit: "reject" }).outcome, { state: "rejected", bestAchievableMs: 16 });
  const contested = [pool("far", 40, { slotsTotal: 100, slotsFree: 5 })];
  t.same(decide(contested).outcome, { state: "queued", bestAchievableMs: 52 }, "a contested slot is not taken");
  t.same(decide([]).outcome, { state: "rejected", bestAchievableMs: undefined });
});

t.test(
  "where nothing fits the first line says what can be had; it does not read as the session's outcome",
  async (t) => {
    const far = [pool("far", 40), pool("near", 4, { slotsFree: 0 })];
    t.equal(explain(decide(far))[0], "spare beyond the limit: far, no other to choose");
    for (const onNoFit of ["queue", "reject"] as const) {
      const [first] = explain(decide(far, { onNoFit }));
      t.equal(first, "no pool within the limit; best achievable 16.0 ms", onNoFit);
    }
    const drained = decide([pool("near", 4, { draining: true })]);
    t.equal(explain(drained)[0], "no pool may take it");
  },
);

t.test("of pools that are as good the first by name wins", async (t) => {
  const { outcome } = decide([pool("b", 4), pool("c", 4), pool("a", 4)]);
  t.same(outcome, { state: "placed", pool: "a", marginMs: 0 });
});

t.test("what two simpler rules would have chosen is on record", async (t) => {
  const near = pool("near", 4, { slotsFree: 0, geographyRttMs: 9 });
  const dear = pool("dear", 6, { priceMs: 20, geographyRttMs: 10 });
  const decision = decide([pool("cheap", 9, { geographyRttMs: 12 }), dear, near]);
  t.same([chosenOf(decision.outcome), decision.nearest, decision.greedy], ["cheap", "near", "dear"]);
  t.same(explainCounterfactuals(decision.record, words(decision)), [
    "nearest by geography: near at RTT 4.0 ms, fails no-free-slot",
    "lowest RTT with capacity: dear at RTT 6.0 ms",
  ]);
  const beyond = decide([pool("far", 40), pool("drained", 4, { draining: true, geographyRttMs: 1 })]);
  t.same([beyond.nearest, beyond.greedy], [undefined, "far"], "a limit keeps the greedy rule from nothing");
  t.same(explainCounterfactuals(beyond.record, words(beyond)), [
    "nearest by geography: none",
    "lowest RTT with capacity: far at RTT 40.0 ms, fails over-limit, which is what was chosen",
  ]);
  t.equal(decide([pool("far", 40, { slotsFree: 0 })]).greedy, undefined);
});

function chosenOf(outcome: SeenDecision["outcome"]): string {
  return String(outcome["pool"]);
}

const candidates = fc.uniqueArray(
  fc.record({
    name: fc.nat(9),
    rttMs: fc.nat(60),
    slotsFree: fc.nat(10),
    priceMs: fc.nat(10),
    draining: fc.boolean(),
  }),
  { selector: ({ name }) => name },
);

t.test("at prices of zero no fitting pool is much nearer than the winner; order does not matter", async (t) => {
  const holds = fc.property(candidates, (list) => {
    const pools = list.map(({ name, ...changes }) => pool(`p${name}`, changes.rttMs, { ...changes, priceMs: 0 }));
    const { outcome, considered } = decide(pools);
    t.strictSame(decide(pools.toReversed()).outcome, outcome);
    if (outcome.state !== "placed") return considered.every(({ rule }) => rule !== undefined);
    const rttOf = new Map(pools.map(({ pool, rttMs }) => [pool, rttMs]));
    const winner = rttOf.get(chosenOf(outcome)) ?? Number.NaN;
    const fitting = considered.filter(({ rule }) => rule === undefined);
    return fitting.every(({ pool }) => winner <= (rttOf.get(pool) ?? 0) + 2);
  });
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 50 }));
});
