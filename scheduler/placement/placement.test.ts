import fc from "fast-check";
import t from "tap";
import { deviceTimes } from "#domain/latency/budget.ts";
import { RttMap } from "#domain/latency/rtt-map.ts";
import type { PlacementRules } from "#domain/placement/candidate.ts";
import { selectPolicy } from "#domain/placement/policy-selection.ts";
import { PoolIds } from "#domain/placement/pool-ids.ts";
import type { PlacementPolicySpec } from "#domain/policy/placement-policy.ts";
import type { NamedPolicy } from "#domain/policy/policy-match.ts";
import type { RenderAppSpec } from "#domain/session/render-app.ts";
import { endsOf, estimateRtt, makeCandidate, planProbes } from "./candidates.ts";
import { type EdgeFacts, listOpenEdges, type PoolFacts, standingOf } from "./pool-facts.ts";
import { decideSession } from "./session-decision.ts";

const large = { name: "large", eyeWidthPixels: 2048, eyeHeightPixels: 2048, frameRateHz: 72 };
const small = { name: "small", eyeWidthPixels: 512, eyeHeightPixels: 512, frameRateHz: 72 };
const app: RenderAppSpec = {
  bundle: { site: "shop", path: "/hall.json" },
  needs: { gpuShareRatio: 0.5, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 14_400_000 },
  classes: [large, small],
};
const lisbon = { latitude: 38.72, longitude: -9.14 };
const client = { groups: ["prefix:192.0.2.0/24"], coordinates: lisbon };

function edge(node: string, changes: Partial<EdgeFacts> = {}): EdgeFacts {
  return { node, contentUrl: `http://${node}.test`, state: "connected", cordoned: false, draining: false, ...changes };
}

function pool(name: string, changes: Partial<PoolFacts> = {}): PoolFacts {
  const facts = { labels: {}, coordinates: lisbon, edges: [edge(`${name}-1`)] };
  return { pool: name, ...facts, excludedAgents: new Set(), ...changes };
}

t.test("a pool stands as its living edges do", async (t) => {
  const dead = edge("a", { state: "dead" });
  const cases = [
    [[dead], { reachable: false, cordoned: false, draining: false }],
    [[], { reachable: false, cordoned: false, draining: false }],
    [[dead, edge("b", { cordoned: true })], { reachable: true, cordoned: true, draining: false }],
    [[edge("a"), edge("b", { draining: true })], { reachable: true, cordoned: false, draining: false }],
    [[edge("a", { draining: true })], { reachable: true, cordoned: true, draining: true }],
    [[edge("a", { state: "cut-off" })], { reachable: true, cordoned: false, draining: false }],
  ] as const;
  for (const [edges, standing] of cases) t.same(standingOf(pool("p", { edges })), standing, JSON.stringify(edges));
  const edges = [dead, edge("b", { state: "cut-off" }), edge("c", { cordoned: true }), edge("d")];
  const open = listOpenEdges(pool("p", { edges }));
  t.same(
    open.map(({ node }) => node),
    ["d", "b"],
  );
});

t.test("the policy that sets the tier's budget applies, else the first by name, else defaults", async (t) => {
  const spec: PlacementPolicySpec = {
    apps: ["hall"],
    sites: [],
    latencyBudgetMs: {},
    constraints: [],
    preferences: [],
    capacityReserveRatio: 0.1,
    onNoFit: "queue",
    sessionSecondsMax: 60,
    stickinessMs: 1,
  };
  const policies: NamedPolicy[] = [
    { name: "b", spec: { ...spec, latencyBudgetMs: { strict: 25 } } },
    { name: "a", spec },
    { name: "other", spec: { ...spec, apps: ["else"] } },
  ];
  t.match(selectPolicy(policies, "hall", "strict"), { name: "b", budgetMs: 25 });
  t.match(selectPolicy(policies, "hall", "relaxed"), { name: "a", budgetMs: 70, rules: { onNoFit: "queue" } });
  t.match(selectPolicy(policies, "none", "standard"), { name: undefined, budgetMs: 50, rules: { onNoFit: "degrade" } });
});

t.test("only pools that may take the app are probed; the others are kept for the record", async (t) => {
  const history = { map: new RttMap({ groupsMax: 10, ageMsMax: 1000 }), nowMs: 0 };
  const pools = [
    pool("open"),
    pool("cordoned", { edges: [edge("a", { cordoned: true })] }),
    pool("draining", { edges: [edge("b", { draining: true })] }),
    pool("dead", { edges: [edge("c", { state: "dead" })] }),
    pool("us", { labels: { region: "us" } }),
    pool("no-agents"),
  ];
  const plan = planProbes(client, pools, {
    constraints: [{ label: "region", operator: "NotIn", values: ["us"] }],
    history,
    holdsIt: ({ pool }) => pool !== "no-agents",
  });
  t.same(
    plan.probed.map(({ pool }) => pool),
    ["open"],
  );
  t.same(
    plan.passedOver.map(({ pool }) => pool),
    ["cordoned", "dead", "draining", "no-agents", "us"],
  );
});

t.test(
  "a round trip comes from history, then from distance as others measured it, then the worst is assumed",
  async (t) => {
    const map = new RttMap({ groupsMax: 10, ageMsMax: 1000 });
    for (const rttMs of [7, 8, 9]) map.record(client.groups, { pool: "known", rttMs, atMs: 0, source: "probe" });
    const history = { map, nowMs: 0 };
    t.same(estimateRtt(client, pool("known"), history), { rttMs: 9, source: "history" });
    t.match(estimateRtt(client, pool("new"), history), { rttMs: 3, errorMs: 0.4 * 3, source: "geography" });
    t.same(estimateRtt({ groups: [], coordinates: undefined }, pool("new"), history), {
      rttMs: 100,
      source: "geography",
    });
    const ends = endsOf(client, pool("known"));
    for (let count = 0; count < 100; count += 1) {
      map.record(client.groups, { pool: "known", rttMs: 7, atMs: 0, source: "probe", ends });
    }
    const learnt = estimateRtt(client, pool("new"), history);
    t.ok(learnt.rttMs > 5 && learnt.rttMs < 7, `${learnt.rttMs} ms, as its clients measured of pools as far`);
  },
);

t.test("the limit is what the budget's parts leave; a pool without the class is no candidate", async (t) => {
  const capacity = { isOpen: true, slotsTotal: 2, slotsFree: 1, frameMsP95: 12 };
  const facts = {
    pool: pool("near"),
    rtt: { rttMs: 4, source: "measured" as const },
    answered: true,
    capacity,
    priceMs: 3,
    bundleMs: 8,
    expectedSessions: 30,
  };
  const parts = { budgetMs: 30, device: deviceTimes({ jitterMs: 1 }), app, renderClass: large };
  const candidate = makeCandidate(facts, parts);
  t.same(candidate?.parts, { budgetMs: 30, renderEncodeMsP95: 12, decodeMs: 4, jitterMs: 1, serialisationMs: 2 });
  t.equal(candidate?.priceMs, 3);
  t.equal(candidate?.bundleMs, 8);
  t.equal(candidate?.expectedSessions, 30);
  t.equal(makeCandidate({ ...facts, answered: false }, parts)?.reachable, false);
  t.equal(makeCandidate({ ...facts, capacity: { ...capacity, isOpen: false } }, parts)?.reachable, false);
  t.equal(makeCandidate({ ...facts, capacity: { ...capacity, frameMsP95: undefined } }, parts), undefined);
});

const rules: PlacementRules = {
  constraints: [],
  preferences: [],
  capacityReserveRatio: 0,
  onNoFit: "degrade",
  stickinessMs: 2,
};

/** Large takes 20 ms of a budget of 40, small takes 5: limits of 14 and 29 ms. */
function classesAt(rttByPool: Record<string, number>, slotsFree = 5) {
  return [large, small].map((renderClass) => ({
    renderClass,
    candidates: Object.entries(rttByPool).flatMap(([name, rttMs]) => {
      const frameMsP95 = renderClass === large ? 20 : 5;
      const capacity = { isOpen: true, slotsTotal: 10, slotsFree, frameMsP95 };
      const parts = { budgetMs: 40, device: { decodeMs: 3, jitterMs: 1 }, app, renderClass };
      const rtt = { rttMs, source: "measured" as const };
      const slow = { priceMs: 0, bundleMs: 0, expectedSessions: 0 };
      return makeCandidate({ pool: pool(name), rtt, answered: true, capacity, ...slow }, parts) ?? [];
    }),
  }));
}

function summarise(classes: ReturnType<typeof classesAt>, changes: Partial<PlacementRules> = {}) {
  const { outcome } = decideSession({ classes, rules: { ...rules, ...changes }, pools: new PoolIds() });
  return "candidate" in outcome
    ? `${outcome.state} ${outcome.candidate.pool} ${outcome.renderClass.name}`
    : `${outcome.state} ${outcome.bestAchievableMs}`;
}

t.test("the preferred class within the limit, then a later one, then spare capacity, as the policy says", async (t) => {
  t.equal(summarise(classesAt({ near: 4, far: 60 })), "placed near large");
  t.equal(summarise(classesAt({ middle: 20 })), "degraded middle small");
  t.equal(summarise(classesAt({ far: 60 })), "degraded far small");
  t.equal(summarise(classesAt({ middle: 20 }), { onNoFit: "queue" }), "queued 46");
  t.equal(summarise(classesAt({ middle: 20 }), { onNoFit: "reject" }), "rejected 46");
  t.equal(summarise(classesAt({ middle: 20 }, 0)), "queued 31", "the best of all classes");
  t.equal(summarise(classesAt({})), "rejected undefined");
  const noneHoldsLarge = classesAt({ middle: 20 }).map((entry) =>
    entry.renderClass === large ? { ...entry, candidates: [] } : entry,
  );
  t.equal(summarise(noneHoldsLarge, { onNoFit: "queue" }), "placed middle small");
});

t.test("nothing over its limit is ever called placed, and every step is on record", async (t) => {
  const rtts = fc.dictionary(fc.constantFrom("a", "b", "c", "d"), fc.nat(80));
  const holds = fc.property(rtts, fc.nat(10), fc.constantFrom("degrade", "queue", "reject"), (rtts, free, onNoFit) => {
    const request = { classes: classesAt(rtts, free), rules: { ...rules, onNoFit }, pools: new PoolIds() };
    const { outcome, steps } = decideSession(request);
    if (outcome.state === "placed" && outcome.candidate.rttMs > outcome.rttLimitMs) return false;
    if (onNoFit !== "degrade" && outcome.state === "degraded") return false;
    return Object.keys(rtts).length === 0 || steps.length > 0;
  });
  t.doesNotThrow(() => fc.assert(holds));
});
