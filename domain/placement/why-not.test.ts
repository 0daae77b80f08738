import fc from "fast-check";
import t from "tap";
import type { PlacementRules, PoolCandidate } from "./candidate.ts";
import { decide, pool } from "./decision-world.test.ts";
import { explainWhyNot } from "./why-not.ts";

const constraints = [{ label: "region", operator: "In", values: ["eu"] }] as const;

function ask(candidates: readonly PoolCandidate[], name: string, changes: Partial<PlacementRules> = {}) {
  const { record, ids } = decide(candidates, changes);
  const constraints = changes.constraints ?? [];
  return explainWhyNot(record, name, { poolName: (id) => ids.nameOf(id), constraints });
}

t.test("the chosen pool is told so, and one that was no candidate", async (t) => {
  t.match(ask([pool("near", 4)], "near"), { kind: "chosen", found: /^near: RTT 4.0 ms/ });
  t.same(ask([pool("near", 4)], "other"), { kind: "absent" });
});

t.test("a pool that fits is shown term by term beside the one chosen, and by how much it lost", async (t) => {
  const near = pool("near", 4, { slotsFree: 5 });
  t.match(ask([near, pool("dear", 6, { priceMs: 3 })], "dear"), {
    ...{ kind: "not-chosen", failed: undefined },
    beside: {
      ...{ pool: "near", behindMs: 4 },
      terms: [
        { term: "rtt", ms: 6, chosenMs: 4 },
        { term: "price", ms: 3, chosenMs: 0 },
        { term: "fill", ms: 0, chosenMs: 1 },
        { term: "preference", ms: 0, chosenMs: 0 },
        { term: "stickiness", ms: 0, chosenMs: 0 },
      ],
    },
    changes: ["an RTT, a price or a preference that is lower by 4.0 ms"],
    result: "it would win over near",
  });
  t.match(ask([near, pool("x", 6)], "x"), {
    changes: ["an RTT, a price or a preference that is lower by more than 1.0 ms"],
  });
});

t.test(
  "a term that only the chosen pool has is shown too: the differences add up to what it is behind by",
  async (t) => {
    const why = ask([pool("near", 4, { bundleMs: 3 }), pool("other", 9)], "other");
    t.match(why, { kind: "not-chosen", beside: { behindMs: 2 } });
    const terms = why.kind === "not-chosen" ? (why.beside?.terms ?? []) : [];
    t.match(terms.at(-1), { term: "missing bundle", ms: 0, chosenMs: 3 });
    t.equal(
      terms.reduce((sum, { ms, chosenMs }) => sum + ms - chosenMs, 0),
      2,
    );
  },
);

t.test("of a pool that fails a rule the first one is said with its values, and what all of them take", async (t) => {
  const near = pool("near", 4);
  const eu = { labels: { region: "eu" } };
  const win = { result: "it would win over near" };
  const cases: [Partial<PoolCandidate>, string, RegExp, RegExp[]][] = [
    [{ reachable: false }, "unreachable", /no node/, [/a node of it that is reached/, /lower by more than 1.0 ms/]],
    [{ draining: true }, "draining", /is draining/, [/not draining/, /lower by more than/]],
    [{ cordoned: true }, "cordoned", /no new sessions/, [/open to new sessions/, /lower by more than/]],
    [{ labels: {} }, "label-constraint", /region In \[eu\]/, [/labels that meet the policy, region for one/, /lower/]],
    [{ rttMs: 21 }, "over-limit", /RTT 21.0 ms > limit 18.0/, [/lower by 3.0 ms, or as much more budget/, /14.0 ms/]],
    [{ slotsFree: 0 }, "no-free-slot", /0 of 10/, [/^3 more free slots$/, /lower by more than/]],
    [{ slotsFree: 2 }, "capacity-reserve", /keeps 20.0 %/, [/^1 more free slot$/, /lower by more than/]],
  ];
  for (const [changes, rule, reason, takes] of cases) {
    const candidates = [{ ...near, ...eu }, pool("other", 5, { ...eu, ...changes })];
    const why = ask(candidates, "other", { constraints, capacityReserveRatio: 0.2 });
    t.match(why, { kind: "not-chosen", failed: { rule, reason }, beside: undefined, changes: takes, ...win }, rule);
  }
  const all = pool("other", 3, { draining: true, cordoned: true, slotsFree: 0 });
  const why = ask([near, all], "other");
  t.match(why, { changes: [/not draining/, /open to new/, /^1 more free slot$/], result: /it would win/ });
});

t.test("a pool that others need more is shown so, and what it takes to be chosen all the same", async (t) => {
  const spared = pool("spared", 4.5, { expectedSessions: 4 });
  const wanted = pool("wanted", 4, { expectedSessions: 49 });
  t.match(ask([wanted, spared], "wanted"), {
    ...{ found: /; 5\.0 expected for each free slot$/, failed: undefined },
    beside: { pool: "spared", behindMs: -0.5, contention: { expected: 5, chosenExpected: 0.5 } },
    ...{ changes: [/lower by more than 0\.5 ms$/], result: "it would win over spared" },
  });
  const near = pool("near", 4, { expectedSessions: 9 });
  t.match(ask([near, pool("other", 8)], "other"), {
    beside: { contention: undefined },
    changes: [/lower by 3\.0 ms$/],
  });
  t.match(ask([near, pool("other", 8, { expectedSessions: 10 })], "other"), {
    changes: [/lower by more than 5\.0 ms$/],
  });
});

t.test("nearer than the chosen one it wins by what it lacks alone; beyond any RTT it is said so", async (t) => {
  t.match(ask([pool("near", 4), pool("full", 1, { slotsFree: 0 })], "full"), {
    ...{ changes: ["1 more free slot"], result: "it would win" },
  });
  const parts = { budgetMs: 30, renderEncodeMsP95: 40, decodeMs: 3, jitterMs: 1, serialisationMs: 0 };
  t.match(ask([pool("near", 4), pool("slow", 1, { parts })], "slow"), {
    ...{ changes: ["another render class, device or tier"], result: /no RTT would do/ },
  });
  t.match(ask([pool("far", 40), pool("farther", 50)], "farther"), {
    failed: { rule: "over-limit" },
    ...{ beside: { pool: "far", behindMs: 10 }, changes: [/lower by 32.0 ms/], result: "it would win" },
  });
});

t.test(
  "whatever a pool lacked, what it takes is found, and with none but its own rule met it is as said",
  async (t) => {
    const candidates = fc.uniqueArray(
      fc.record({
        ...{ name: fc.nat(9), rttMs: fc.nat(40), slotsFree: fc.nat(3), priceMs: fc.nat(9) },
        expectedSessions: fc.constantFrom(0, 0, 2, 9),
        ...{ draining: fc.boolean(), cordoned: fc.boolean(), reachable: fc.boolean() },
      }),
      { selector: ({ name }) => name, minLength: 1 },
    );
    const holds = fc.property(candidates, fc.constantFrom("degrade", "queue", "reject"), (list, onNoFit) => {
      const pools = list.map(({ name, rttMs, ...changes }) => pool(`p${name}`, rttMs, changes));
      return pools.every(({ pool: name }) => {
        const why = ask(pools, name, { onNoFit, capacityReserveRatio: 0.1 });
        if (why.kind !== "not-chosen") return why.kind === "chosen";
        const isOutscored = why.failed === undefined;
        if (isOutscored && (why.beside === undefined || why.beside.behindMs < -1)) return false;
        return why.changes.length > 0 && why.result.startsWith("it would win");
      });
    });
    t.doesNotThrow(() => fc.assert(holds, { numRuns: 100 }));
  },
);
