/** What each state of a wave's edges lets a roll-out do. */
import t from "tap";
import type { RolloutSpec } from "#domain/fleet/rollout.ts";
import { AWAY_AFTER_MS, type EdgeSeen, judgeWave, planRollout, type RolloutFacts } from "./plan-rollout.ts";

const policy = { waves: [{ pools: ["near"] }] };
const waiting: RolloutSpec = {
  waves: [
    { pools: ["near"], steps: [] },
    { pools: [], position: 10, steps: [] },
  ],
};
const there: EdgeSeen = {
  node: "near-1",
  pool: "near",
  linkUp: true,
  linkMs: 1,
  hasSpoken: true,
  appliedRevision: 20,
  provenRevision: 20,
  quarantine: undefined,
};
const facts: RolloutFacts = {
  policy,
  rollout: waiting,
  revision: 20,
  compactedRevision: 0,
  edges: [there],
  heldFrom: [undefined, 15],
};

/** Where the last wave is after it; the revision is that of the row. */
function planned(more: Partial<RolloutFacts>): number | string | undefined {
  const plan = planRollout({ ...facts, ...more });
  return plan.kind === "write" ? plan.specAt(21).waves.at(-1)?.position : plan.kind;
}

t.test("a wave moves to what every edge of the one before has proven, and to nothing else", async (t) => {
  const away = { ...there, node: "near-2", linkUp: false, linkMs: AWAY_AFTER_MS, provenRevision: 0 };
  const cases: readonly [string, Partial<RolloutFacts>, number | string][] = [
    ["proven by all", {}, 20],
    ["the least counts", { edges: [there, { ...there, node: "near-2", provenRevision: 16 }] }, 16],
    ["proven before the change only", { edges: [{ ...there, provenRevision: 14 }] }, "none"],
    ["nothing is proven", { edges: [{ ...there, provenRevision: 0 }] }, "none"],
    ["one is away for long", { edges: [there, away] }, 20],
    ["one has just gone", { edges: [there, { ...away, linkMs: AWAY_AFTER_MS - 1 }] }, "none"],
    ["nobody is there", { edges: [away] }, "none"],
    ["there are no edges", { edges: [] }, 20],
    ["only the last wave has edges", { edges: [{ ...there, pool: "far" }] }, 20],
    ["nothing is held back", { heldFrom: [undefined, undefined] }, "none"],
    ["what is proven is compacted", { compactedRevision: 21 }, "none"],
    ["nothing is held back, and much has happened", { ...far(2000), heldFrom: [undefined, undefined] }, 2000],
    ["the policy is gone", { policy: undefined }, "end"],
  ];
  for (const [what, more, expected] of cases) t.equal(planned(more), expected, what);
});

function far(revision: number): Partial<RolloutFacts> {
  return { revision, edges: [{ ...there, provenRevision: revision }] };
}

t.test("an edge in quarantine halts its wave, also when it is gone since, until it says otherwise", async (t) => {
  const quarantine = "three crashes";
  const bad = { ...there, node: "near-2", provenRevision: 9, quarantine };
  const plan = planRollout({ ...facts, edges: [there, bad] });
  t.match(plan, { kind: "write", because: "halt" });
  const halted = plan.kind === "write" ? plan.specAt(21) : waiting;
  t.match(halted.waves, [{ halted: { node: "near-2", message: quarantine } }, { position: 10 }]);
  const unheard = { ...bad, quarantine: undefined, linkUp: false, hasSpoken: false, linkMs: 10 * AWAY_AFTER_MS };
  for (const edge of [bad, unheard, { ...unheard, linkUp: true }]) {
    t.same(planRollout({ ...facts, rollout: halted, edges: [there, edge] }), { kind: "none" });
    t.equal(judgeWave(halted, 0, [there, edge]).kind, "halted");
  }
  const mended = { ...bad, quarantine: undefined, appliedRevision: 30, provenRevision: 9 };
  const mending = planRollout({ ...facts, rollout: halted, edges: [there, mended] });
  t.match(mending, { kind: "write", because: "mended" });
  const after = mending.kind === "write" ? mending.specAt(31) : halted;
  const proving = { ...facts, revision: 31, rollout: after };
  const proven = (...revisions: readonly number[]) =>
    revisions.map((provenRevision, index) => ({ ...there, node: `near-${index + 1}`, provenRevision }));
  t.equal(
    planned({ ...proving, edges: proven(29, 30) }),
    "none",
    "what some proved before it was mended is not let out",
  );
  t.equal(planned({ ...proving, edges: proven(30, 31) }), 30);
});

t.test("what a wave was brought to goes on when it has proven that, however often it is brought further", async (t) => {
  const three = { waves: [{ pools: ["near"] }, { pools: ["mid"] }] };
  let rollout: RolloutSpec = {
    waves: [
      { pools: ["near"], steps: [] },
      { pools: ["mid"], position: 10, steps: [] },
      { pools: [], position: 10, steps: [] },
    ],
  };
  const look = (revision: number, provenByMid: number) => {
    const edges = [
      { ...there, provenRevision: revision },
      { ...there, node: "mid-1", pool: "mid", provenRevision: provenByMid },
    ];
    const plan = planRollout({ ...facts, policy: three, rollout, revision, edges, heldFrom: [undefined, 11, 11] });
    if (plan.kind === "write") rollout = plan.specAt(revision + 1);
  };
  for (let turn = 2; turn <= 12; turn += 1) look(turn * 10, 0);
  t.match(rollout.waves, [{}, { position: 120, steps: { length: 4 } }, { position: 10 }]);
  const [first] = rollout.waves[1]?.steps ?? [];
  t.same(first, { position: 20, since: 21 });
  look(130, 21);
  t.match(rollout.waves, [{}, { position: 130 }, { position: 20, steps: { length: 0 } }]);
});
