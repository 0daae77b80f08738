import t from "tap";
import type { PlacementRules, PoolCandidate } from "#domain/placement/candidate.ts";
import { loadCandidates } from "#domain/placement/candidate-loading.ts";
import { decidePlacement } from "#domain/placement/decision.ts";
import { DecisionFrame } from "#domain/placement/decision-frame.ts";
import { recordOf } from "#domain/placement/decision-record.ts";
import { PoolIds } from "#domain/placement/pool-ids.ts";
import {
  type ContentDecisionRecord,
  createExplainStore,
  explainDecision,
  type RecordedOutcome,
  type SessionDecisionRecord,
} from "./explain-store.ts";

const rules = {
  constraints: [],
  preferences: [],
  capacityReserveRatio: 0,
  onNoFit: "queue",
  stickinessMs: 2,
} as const;

const near: PoolCandidate = {
  pool: "near",
  labels: {},
  reachable: true,
  cordoned: false,
  draining: false,
  rttMs: 4,
  rttSource: "measured",
  parts: { budgetMs: 30, renderEncodeMsP95: 8, decodeMs: 3, jitterMs: 1, serialisationMs: 0 },
  slotsTotal: 2,
  slotsFree: 2,
  priceMs: 0,
  bundleMs: 0,
};

const pools = new PoolIds();

function decide(candidates: readonly PoolCandidate[], rules: PlacementRules): Uint8Array {
  const frame = new DecisionFrame();
  loadCandidates(frame, { candidates, rules }, pools);
  decidePlacement(frame);
  return recordOf(frame);
}

function sessionRecord(id: string, session = "s-1", notes: string[] = []): SessionDecisionRecord {
  const candidates = [near, { ...near, pool: "far", rttMs: 60 }, { ...near, pool: "old", cordoned: true }];
  return {
    kind: "session",
    id,
    atMs: 1_700_000_000_000,
    client: "prefix:192.0.2.0/24",
    policy: "eu",
    notes,
    session,
    attempt: 1,
    app: "hall",
    tier: "strict",
    because: "new",
    asker: {},
    outcome: { state: "placed", pool: "near", renderClass: "small", marginMs: undefined },
    steps: [{ renderClass: "small", mayExceedLimit: false, record: decide(candidates, rules) }],
    constraints: rules.constraints,
  };
}

t.test("a session's decision says candidates, first failing rule, terms, the winner and the notes", async (t) => {
  const store = createExplainStore({ pools });
  store.recordSession(sessionRecord("d-1", "s-1", ["answer of far-1 not believed"]));
  t.same(store.explain("d-1")?.lines, [
    "decision d-1 at 2023-11-14T22:13:20.000Z: session s-1, attempt 1, app hall, tier strict, new",
    "for prefix:192.0.2.0/24; policy eu",
    "placed: near, no other to choose; render class small",
    "render class small",
    "within the limit: near, no other to choose",
    "far: RTT 60.0 ms (measured), limit 18.0 ms; fails over-limit: RTT 60.0 ms > limit 18.0 ms",
    "near: RTT 4.0 ms (measured), limit 18.0 ms; score 4.0 = rtt 4.0 + price 0.0 + fill 0.0 + preference 0.0 + stickiness 0.0",
    "old: RTT 4.0 ms (measured), limit 18.0 ms; fails cordoned: the pool takes no new sessions",
    "limit of far: 18.0 = budget 30.0 - render+encode 8.0 - decode 3.0 - jitter 1.0 - serialisation 0.0",
    "limit of near: 18.0 = budget 30.0 - render+encode 8.0 - decode 3.0 - jitter 1.0 - serialisation 0.0",
    "limit of old: 18.0 = budget 30.0 - render+encode 8.0 - decode 3.0 - jitter 1.0 - serialisation 0.0",
    "otherwise, nearest by geography: none",
    "otherwise, lowest RTT with capacity: near at RTT 4.0 ms, which is what was chosen",
    "by revision 0 of the policy and version 0 of the prices",
    "note: answer of far-1 not believed",
  ]);
});

t.test("the outcome of the whole decision comes first, and the classes tried do not read as one", async (t) => {
  const far = { ...near, pool: "far", rttMs: 60 };
  const tried = (name: string, onNoFit: "queue" | "degrade") => ({
    renderClass: name,
    mayExceedLimit: onNoFit === "degrade",
    record: decide([far], { ...rules, onNoFit }),
  });
  const linesOf = (outcome: RecordedOutcome, steps: SessionDecisionRecord["steps"]) =>
    explainDecision({ ...sessionRecord("d-1"), outcome, steps }, (id) => pools.nameOf(id))
      .slice(2)
      .filter((line) => !/^(limit of )?far: |^otherwise, |^by revision/.test(line));
  const degraded = { state: "degraded", pool: "far", renderClass: "small", marginMs: 3 } as const;
  t.same(linesOf(degraded, [tried("large", "queue"), tried("small", "queue"), tried("small", "degrade")]), [
    "degraded: far, ahead by 3.0 ms; render class small",
    "render class large",
    "no pool within the limit; best achievable 72.0 ms",
    "render class small",
    "no pool within the limit; best achievable 72.0 ms",
    "render class small, beyond the limit where slots are spare",
    "spare beyond the limit: far, no other to choose",
  ]);
  const cases: [RecordedOutcome, string][] = [
    [{ state: "kept", because: "best", pool: "near", marginMs: 2 }, "kept where it is: near, ahead by 2.0 ms"],
    [
      { state: "kept", because: "no-fit", pool: "near", bestAchievableMs: 140.8 },
      "kept where it is: near; nothing better fits, best achievable 140.8 ms",
    ],
    [{ state: "queued", bestAchievableMs: 57.5 }, "queued: best achievable 57.5 ms"],
    [{ state: "rejected", bestAchievableMs: 57.5 }, "rejected: best achievable 57.5 ms"],
    [{ state: "rejected", bestAchievableMs: undefined }, "rejected: no pool may take it"],
  ];
  for (const [outcome, line] of cases) t.equal(linesOf(outcome, [tried("small", "queue")])[0], line, line);
  t.same(linesOf({ state: "rejected", bestAchievableMs: undefined }, []), [
    "rejected: no pool holds a render class of the app",
  ]);
});

t.test("of the times that a session is kept the last one is, and its placement beside it", async (t) => {
  const store = createExplainStore({ pools });
  const outcome = { state: "kept", because: "best", pool: "near", marginMs: undefined } as const;
  store.recordSession(sessionRecord("d-1"));
  store.recordSession({ ...sessionRecord("d-2"), outcome });
  store.recordSession({ ...sessionRecord("d-3"), outcome });
  t.equal(store.explainSession("s-1")?.decision, "d-3");
  t.equal(store.explain("d-2"), undefined);
  t.equal(store.explain("d-1")?.decision, "d-1");
});

t.test("a content decision says by how much the winner is ahead and what the others lack", async (t) => {
  const store = createExplainStore({ pools });
  const record: ContentDecisionRecord = {
    kind: "content",
    id: "d-2",
    atMs: 0,
    client: "cell:47,8",
    policy: undefined,
    notes: [],
    site: "shop",
    candidates: [
      { name: "far-1", rttMs: 60, rttSource: "measured", rejection: undefined, terms: { rtt: 60, price: 0 } },
      { name: "near-1", rttMs: 4, rttSource: "measured", rejection: undefined, terms: { rtt: 4, price: 1 } },
      {
        name: "old-1",
        rttMs: undefined,
        rttSource: "geography",
        rejection: { rule: "cordoned", reason: "no new steering" },
        terms: undefined,
      },
    ],
  };
  const rules = { constraints: [], preferences: [], stickinessMs: 2, residency: [] };
  const request = { candidates: [], rules, lastNode: undefined, tieKey: "" };
  store.recordContent(record, { request, decision: { ranked: [], considered: record.candidates } });
  t.same(store.explain("d-2")?.lines.slice(1), [
    "for cell:47,8; no policy, defaults",
    "steered: near-1, ahead by 55.0 ms",
    "far-1: RTT 60.0 ms (measured); score 60.0 = rtt 60.0 + price 0.0",
    "near-1: RTT 4.0 ms (measured); score 5.0 = rtt 4.0 + price 1.0",
    "old-1: RTT unknown; fails cordoned: no new steering",
  ]);
});

t.test("the last decision of a session is found by it; beyond the limit the oldest is forgotten", async (t) => {
  const store = createExplainStore({ entriesMax: 2, pools });
  store.recordSession(sessionRecord("d-1"));
  store.recordSession(sessionRecord("d-2"));
  t.equal(store.explainSession("s-1")?.decision, "d-2");
  store.recordSession(sessionRecord("d-3", "s-2"));
  t.equal(store.explain("d-1"), undefined);
  t.equal(store.explainSession("s-2")?.decision, "d-3");
  t.equal(store.explainSession("s-9"), undefined);
});
