import fc from "fast-check";
import t from "tap";
import type { FleetEdge } from "../facts/fleet.ts";
import {
  decideSteering,
  type EdgeCandidate,
  SILENCE_PENALTY_MS,
  type SteeringRequest,
  type SteeringRules,
} from "./content-decision.ts";

const rules: SteeringRules = { constraints: [], preferences: [], stickinessMs: 2, residency: [] };

function candidate(
  node: string,
  rttMs: number,
  changes: Partial<EdgeCandidate> = {},
  edgeChanges: Partial<FleetEdge> = {},
): EdgeCandidate {
  const address = { contentUrl: `http://${node}.test:7420`, hostname: `${node}.test` };
  const standing = { state: "connected" as const, isHeard: true, cordoned: false, draining: false };
  const reported = { sites: undefined, storeBytesMax: undefined };
  const edge = { node, pool: node, ...address, ...standing, ...reported, ...edgeChanges };
  return {
    edge,
    labels: {},
    rtt: { rttMs, source: "measured" },
    siteFault: undefined,
    isUnanswered: false,
    ...changes,
  };
}

function decide(candidates: readonly EdgeCandidate[], changes: Partial<SteeringRequest> = {}) {
  return decideSteering({ candidates, rules, lastNode: undefined, tieKey: "shop", ...changes });
}

const nodesOf = (decision: ReturnType<typeof decide>) => decision.ranked.map(({ edge }) => edge.node);

t.test("the lowest round trip comes first; the first failing rule of the others is kept", async (t) => {
  const constraints = [{ label: "region", operator: "In", values: ["eu"] }] as const;
  const eu = { labels: { region: "eu", tier: "1" } };
  const strict = { rules: { ...rules, constraints, residency: [{ tier: "1" }] } };
  const cases = [
    [candidate("a", 1, {}, { state: "dead", draining: true }), "dead"],
    [candidate("a", 1, {}, { draining: true, cordoned: true }), "draining"],
    [candidate("a", 1, {}, { cordoned: true }), "cordoned"],
    [candidate("a", 1, { labels: { region: "us" } }), "label-constraint"],
    [candidate("a", 1, { labels: { region: "eu" }, siteFault: "gone" }), "residency"],
    [candidate("a", 1, { ...eu, siteFault: "gone" }), "site-inactive"],
    [candidate("a", 1, eu), undefined],
  ] as const;
  for (const [first, rule] of cases) {
    const decision = decide([first, candidate("b", 2, eu)], strict);
    t.equal(decision.considered[0]?.rejection?.rule, rule);
    t.equal(nodesOf(decision)[0], rule === undefined ? "a" : "b");
  }
});

t.test("what a round trip is known from is on record, with what distance may be off by", async (t) => {
  const rtts: readonly EdgeCandidate["rtt"][] = [
    { rttMs: 4, source: "measured" },
    { rttMs: 11, source: "geography", errorMs: 4.4 },
    { rttMs: 100, source: "geography" },
  ];
  const { considered } = decide(rtts.map((rtt) => candidate(`n${rtt.rttMs}`, 0, { rtt })));
  t.strictSame(
    considered.map(({ name, rttSource }) => `${name}: ${rttSource}`),
    ["n100 (n100): assumed: the client's place is unknown", "n11 (n11): distance model, ± 4.4 ms", "n4 (n4): measured"],
  );
});

t.test("preferences and where the client was last move the choice; silence undoes it", async (t) => {
  const two = [candidate("a", 10), candidate("b", 11)];
  t.same(nodesOf(decide(two)), ["a", "b"]);
  t.same(nodesOf(decide(two, { lastNode: "b" })), ["b", "a"], "two milliseconds are no reason to move");
  t.same(nodesOf(decide([candidate("a", 10), candidate("b", 13)], { lastNode: "b" })), ["a", "b"]);
  const preferences = [{ label: "cheap", operator: "Exists", bonusMs: 5 }] as const;
  const preferring = { rules: { ...rules, preferences } };
  t.same(nodesOf(decide([candidate("a", 10), candidate("b", 14, { labels: { cheap: "" } })], preferring)), ["b", "a"]);
  t.same(nodesOf(decide([candidate("a", 1, {}, { isHeard: false }), candidate("b", 900)])), ["b", "a"]);
  t.same(nodesOf(decide([candidate("a", 1, { isUnanswered: true }), candidate("b", 900)])), ["b", "a"]);
  t.same(nodesOf(decide([candidate("a", 1, {}, { isHeard: false })])), ["a"], "better than nothing");
});

t.test("edges that are as good are shared out by the hash of the key, and a key keeps its edge", async (t) => {
  const three = ["a", "b", "c"].map((node) => candidate(node, 5));
  const winners = Array.from({ length: 300 }, (_, key) => nodesOf(decide(three, { tieKey: `k${key}` }))[0]);
  for (const node of ["a", "b", "c"]) {
    const share = winners.filter((winner) => winner === node).length;
    t.ok(share > 60, `${node} has ${share} of 300`);
  }
  const two = three.slice(0, 2);
  for (const [key, winner] of winners.entries()) {
    if (winner !== "c") t.equal(nodesOf(decide(two, { tieKey: `k${key}` }))[0], winner, "only c's share moves");
  }
});

const candidates = fc.uniqueArray(
  fc.record({
    node: fc.constantFrom("a", "b", "c", "d", "e", "f"),
    rttMs: fc.nat(200),
    isHeard: fc.boolean(),
    cordoned: fc.boolean(),
    siteFault: fc.option(fc.constant("gone"), { nil: undefined }),
  }),
  { selector: ({ node }) => node },
);

t.test("whatever comes in what order: all open ones are ranked by score, none that fails a rule", async (t) => {
  const holds = fc.property(candidates, fc.constantFrom("a", undefined), (given, lastNode) => {
    const made = given.map(({ node, rttMs, siteFault, ...edge }) => candidate(node, rttMs, { siteFault }, edge));
    const decision = decide(made, { lastNode });
    const open = given.filter(({ cordoned, siteFault }) => !cordoned && siteFault === undefined);
    const scoreOf = (node: string) => {
      const fact = given.find((entry) => entry.node === node);
      if (fact === undefined) return Number.NaN;
      return fact.rttMs + (fact.isHeard ? 0 : SILENCE_PENALTY_MS) - (node === lastNode ? 2 : 0);
    };
    const nodes = nodesOf(decision);
    const scores = nodes.map(scoreOf);
    t.same(nodesOf(decide(made.toReversed(), { lastNode })), nodes);
    return (
      nodes.length === open.length &&
      scores.every((score, at) => at === 0 || (scores[at - 1] ?? Number.NaN) <= score) &&
      decision.considered.length === given.length
    );
  });
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 60 }));
});
