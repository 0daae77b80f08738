/** The decision over columns beside the same rules written plainly over objects: outcome, codes and scores are the same to the last bit. */
import fc from "fast-check";
import t from "tap";
import type { FilterRule, PlacementRules, PoolCandidate } from "./candidate.ts";
import { loadCandidates } from "./candidate-loading.ts";
import { DecisionFrame } from "./decision-frame.ts";
import { recordOf, replayDecision } from "./decision-record.ts";
import { decide, pool, rules } from "./decision-world.test.ts";
import { meetsRequirement } from "./labels.ts";
import { PoolIds } from "./pool-ids.ts";

interface PlainPool {
  readonly candidate: PoolCandidate;
  readonly rule: FilterRule | undefined;
  readonly scoreMs: number | undefined;
}

function decidePlainly(candidates: readonly PoolCandidate[], rules: PlacementRules, currentPool: string | undefined) {
  const sorted = candidates.toSorted((a, b) => (a.pool < b.pool ? -1 : 1));
  const fitting = sorted.map((candidate): PlainPool => {
    const rule = plainRule(candidate, rules, candidate.pool === currentPool);
    const scoreMs = rule === undefined ? plainScoreMs(candidate, { rules, currentPool, priceFactor: 1 }) : undefined;
    return { candidate, rule, scoreMs };
  });
  const best = plainWinner(fitting);
  const winner = best === undefined ? undefined : (plainYield(fitting, best.pool, currentPool) ?? best);
  if (winner !== undefined) return { outcome: { state: "placed", ...winner }, considered: fitting };
  if (rules.onNoFit === "degrade") {
    const spare = fitting.map((pool): PlainPool => {
      const { candidate, rule } = pool;
      const isCurrent = candidate.pool === currentPool;
      const isSpare =
        isCurrent || candidate.slotsFree > Math.max(0.05, rules.capacityReserveRatio) * candidate.slotsTotal;
      if (rule !== "over-limit" || !isSpare) return pool;
      return { ...pool, scoreMs: plainScoreMs(candidate, { rules, currentPool, priceFactor: 3 }) };
    });
    const second = plainWinner(spare);
    if (second !== undefined) return { outcome: { state: "degraded", ...second }, considered: spare };
  }
  const permitted = fitting.filter(
    ({ rule }) => rule === undefined || ["over-limit", "no-free-slot", "capacity-reserve"].includes(rule),
  );
  const paths = permitted.map(({ candidate: { parts, rttMs } }) => rttMs + plainFixedMs(parts));
  const bestAchievableMs = paths.length === 0 ? undefined : Math.min(...paths);
  const mayWait = rules.onNoFit !== "reject" && bestAchievableMs !== undefined;
  return { outcome: { state: mayWait ? "queued" : "rejected", bestAchievableMs }, considered: fitting };
}

function plainRule(candidate: PoolCandidate, rules: PlacementRules, isCurrent: boolean): FilterRule | undefined {
  const { slotsFree, slotsTotal, parts } = candidate;
  if (!candidate.reachable) return "unreachable";
  if (candidate.draining) return "draining";
  if (candidate.cordoned && !isCurrent) return "cordoned";
  if (!rules.constraints.every((requirement) => meetsRequirement(candidate.labels, requirement))) {
    return "label-constraint";
  }
  if (candidate.rttMs > parts.budgetMs - plainFixedMs(parts)) return "over-limit";
  if (isCurrent) return undefined;
  if (slotsFree < 1) return "no-free-slot";
  return slotsFree - 1 < rules.capacityReserveRatio * slotsTotal ? "capacity-reserve" : undefined;
}

function plainFixedMs({ renderEncodeMsP95, decodeMs, jitterMs, serialisationMs }: PoolCandidate["parts"]): number {
  return renderEncodeMsP95 + decodeMs + jitterMs + serialisationMs;
}

function plainScoreMs(
  { pool, labels, rttMs, priceMs, bundleMs, slotsTotal, slotsFree }: PoolCandidate,
  { rules, currentPool, priceFactor }: { rules: PlacementRules; currentPool: string | undefined; priceFactor: number },
): number {
  const matched = rules.preferences.filter((preference) => meetsRequirement(labels, preference));
  const bonusMs = matched.reduce((sum, preference) => sum + preference.bonusMs, 0);
  const usedRatio = slotsTotal === 0 ? 1 : 1 - slotsFree / slotsTotal;
  const stickinessMs = pool === currentPool ? rules.stickinessMs : 0;
  return rttMs + priceFactor * priceMs + 2 * usedRatio - bonusMs - stickinessMs + bundleMs;
}

function plainWinner(
  pools: readonly { readonly candidate: { readonly pool: string }; readonly scoreMs?: number | undefined }[],
) {
  const scored = pools.flatMap(({ candidate, scoreMs }) => (scoreMs === undefined ? [] : [{ candidate, scoreMs }]));
  scored.sort((a, b) => a.scoreMs - b.scoreMs);
  const [first, second] = scored;
  if (first === undefined) return undefined;
  return { pool: first.candidate.pool, marginMs: second === undefined ? undefined : second.scoreMs - first.scoreMs };
}

/** Undefined where the one with the best score gets it. */
function plainYield(pools: readonly PlainPool[], best: string, currentPool: string | undefined) {
  if (best === currentPool) return undefined;
  const scoreOf = (name: string | undefined) => pools.find(({ candidate }) => candidate.pool === name)?.scoreMs;
  const bestMs = scoreOf(best) ?? Number.NaN;
  const heldMs = scoreOf(currentPool) ?? Number.POSITIVE_INFINITY;
  const near = pools.flatMap(({ candidate: { pool, slotsFree, expectedSessions = 0 }, scoreMs = Number.NaN }) =>
    scoreMs <= bestMs + 1 && scoreMs < heldMs
      ? [{ pool, scoreMs, expectedSessions, each: (1 + expectedSessions) / slotsFree }]
      : [],
  );
  if (!near.some(({ expectedSessions }) => expectedSessions > 0)) return undefined;
  near.sort((a, b) => a.each - b.each || a.scoreMs - b.scoreMs);
  const [least] = near;
  if (least === undefined || least.pool === best) return undefined;
  return { pool: least.pool, marginMs: bestMs - least.scoreMs };
}

/** Few values, so that ties and limits met exactly are usual. */
const milliseconds = fc.oneof(fc.nat(25), fc.double({ min: 0, max: 40, noNaN: true }), fc.constantFrom(0.1, 17.7, 18));
const label = fc.constantFrom("eu", "us");
const anyPools = fc.uniqueArray(
  fc
    .record({
      name: fc.nat(40),
      near: milliseconds,
      frame: fc.constantFrom(8, 8.1, 12.3),
      region: label,
      total: fc.nat(20),
      used: fc.nat(20),
      changes: fc.record({
        reachable: fc.constantFrom(true, true, true, false),
        cordoned: fc.constantFrom(false, false, true),
        draining: fc.constantFrom(false, false, true),
        rttSource: fc.constantFrom("measured", "history", "geography"),
        geographyRttMs: fc.option(milliseconds, { nil: undefined }),
        rttErrorMs: fc.option(milliseconds, { nil: undefined }),
        priceMs: fc.oneof(fc.constant(0), milliseconds),
        // A column in single precision.
        bundleMs: fc.oneof(fc.constant(0), milliseconds.map(Math.fround)),
        expectedSessions: fc.oneof(
          fc.constant(undefined),
          fc.nat(9),
          fc.float({ min: 0, max: Math.fround(900), noNaN: true }),
        ),
      }),
    })
    .map(({ name, near, frame, region, total, used, changes }) => {
      const parts = { budgetMs: 30, renderEncodeMsP95: frame, decodeMs: 3.2, jitterMs: 1.1, serialisationMs: 0.7 };
      const slots = { slotsTotal: total, slotsFree: Math.max(0, total - used) };
      return pool(`p${name}`, near, { ...changes, ...slots, parts, labels: { region } });
    }),
  { selector: ({ pool }) => pool, maxLength: 20 },
);
const anyRules = fc.record({
  constraints: fc.array(
    fc.record({ label: fc.constant("region"), operator: fc.constant("In"), values: fc.array(label) }),
    {
      maxLength: 1,
    },
  ),
  preferences: fc.array(
    fc.record({
      label: fc.constant("region"),
      operator: fc.constantFrom("In", "NotIn"),
      values: fc.array(label),
      bonusMs: fc.double({ min: -9, max: 9, noNaN: true }),
    }),
    { maxLength: 3 },
  ),
  capacityReserveRatio: fc.constantFrom(0, 0.1, 0.33),
  onNoFit: fc.constantFrom("degrade", "queue", "reject"),
  stickinessMs: fc.constantFrom(0, 2, 3.3),
});
const wideRequest = fc.record({
  candidates: anyPools,
  rules: anyRules,
  currentPool: fc.option(
    fc.nat(40).map((name) => `p${name}`),
    { nil: undefined },
  ),
});
/** Pools so near each other that most of a request are within 1 ms. */
const metroRequest = wideRequest.map(({ candidates, rules, ...request }) => ({
  ...request,
  candidates: candidates.map((candidate) => ({
    ...{ ...candidate, rttMs: 4 + (candidate.rttMs % 1.5), priceMs: 0, bundleMs: 0, reachable: true, draining: false },
    ...{ slotsTotal: 20, slotsFree: 1 + candidate.slotsFree },
  })),
  rules: { ...rules, preferences: [] },
}));
const anyRequest = fc.oneof(wideRequest, metroRequest);

const NUM_RUNS = 2_000;

t.test("outcome, first failing rules and scores are those of the rules written plainly", async (t) => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(anyRequest, ({ candidates, rules, currentPool }) => {
      const plain = decidePlainly(candidates, rules, currentPool);
      const decided = decide(candidates, rules, currentPool);
      seen.add(plain.outcome.state);
      for (const { rule } of plain.considered) seen.add(rule ?? "fits");
      const plainSeen = plain.considered.map(({ candidate: { pool }, rule, scoreMs }) => ({ pool, rule, scoreMs }));
      return isSame(decided.outcome, plain.outcome) && isSame(decided.considered, plainSeen);
    }),
    { numRuns: NUM_RUNS },
  );
  t.equal(seen.size, 12, `each outcome and each rule came up: ${[...seen]}`);
});

t.test(
  "with nothing expected the lowest score wins; else one that is at most 1 ms behind, and nobody moves for it",
  async (t) => {
    let yielded = 0;
    const holds = fc.property(anyRequest, ({ candidates, rules, currentPool }) => {
      const unexpected = candidates.map((candidate) => ({ ...candidate, expectedSessions: 0 }));
      const without = decide(unexpected, rules, currentPool);
      const scored = without.considered.map(({ pool, rule, scoreMs }) => {
        return { candidate: { pool }, scoreMs: rule === undefined ? scoreMs : undefined };
      });
      const { state } = without.outcome;
      if (state === "placed" && !isSame(without.outcome, { state, ...plainWinner(scored) })) return false;
      const decided = decide(candidates, rules, currentPool);
      if (!isSame(decided.considered, without.considered)) return false;
      if (isSame(decided.outcome, without.outcome)) return true;
      yielded += 1;
      const scoreOf = (pool: unknown) => scored.find(({ candidate }) => candidate.pool === pool)?.scoreMs ?? Number.NaN;
      const [ms, bestMs] = [scoreOf(decided.outcome["pool"]), scoreOf(without.outcome["pool"])];
      const isOther = without.outcome["pool"] !== currentPool && decided.outcome["pool"] !== currentPool;
      return decided.outcome.state === "placed" && isOther && ms <= bestMs + 1 && !(ms >= scoreOf(currentPool));
    });
    t.doesNotThrow(() => fc.assert(holds, { numRuns: NUM_RUNS }));
    t.ok(yielded > NUM_RUNS / 100, `${yielded} of ${NUM_RUNS} yielded`);
  },
);

t.test("a record's inputs give the same record again, bit for bit, whatever it says of the answer", async (t) => {
  fc.assert(
    fc.property(anyRequest, fc.integer({ min: 0, max: 7 }), ({ candidates, rules, currentPool }, offset) => {
      const { record } = decide(candidates, rules, currentPool);
      const moved = new Uint8Array(offset + record.length + 1);
      moved.set(record, offset);
      forgetAnswers(new DataView(moved.buffer), offset, candidates.length);
      const frame = new DecisionFrame();
      const end = replayDecision(new DataView(moved.buffer), offset, frame);
      return end === offset + record.length && isSame([...recordOf(frame)], [...record]);
    }),
    { numRuns: NUM_RUNS },
  );
  t.pass("held");
});

t.test("a frame that was used before decides as a new one", async (t) => {
  const used = new DecisionFrame();
  fc.assert(
    fc.property(anyRequest, ({ candidates, rules, currentPool }) => {
      const { record } = decide(candidates, rules, currentPool);
      replayDecision(new DataView(record.buffer), 0, used);
      return isSame([...recordOf(used)], [...record]);
    }),
  );
  t.pass("held");
});

t.test("of more candidates than a record holds the farthest are left out", async (t) => {
  const many = Array.from({ length: 200 }, (_, index) => pool(`p${String(index).padStart(3, "0")}`, 200 - index));
  const frame = new DecisionFrame();
  const ordered = loadCandidates(frame, { candidates: many, rules }, new PoolIds());
  t.equal(frame.count, 128);
  t.match([ordered[0], ordered.at(-1)], [{ pool: "p072" }, { pool: "p199" }]);
});

/** State, chosen pool, counterfactuals, margin, best; of each pool score and code: as if nothing was decided. */
function forgetAnswers(view: DataView, offset: number, count: number): void {
  view.setUint8(offset + 3, 0);
  for (const at of [5, 6, 7]) view.setUint8(offset + at, 1);
  for (const at of [68, 76]) view.setFloat64(offset + at, 1, true);
  for (let row = offset + 84; row < offset + 84 + count * 70; row += 70) {
    view.setFloat64(row + 32, 1, true);
    view.setUint8(row + 57, 1);
  }
}

function isSame(a: unknown, b: unknown): boolean {
  const flat = (value: unknown) => JSON.stringify(value, (_, inner) => (inner === undefined ? "undefined" : inner));
  return flat(a) === flat(b);
}
