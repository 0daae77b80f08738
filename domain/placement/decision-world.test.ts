/** What tests of decisions share: pools, and a decision as plain values. */
import t from "tap";
import { FILTER_RULES, type FilterRule, type PlacementRules, type PoolCandidate } from "./candidate.ts";
import { loadCandidates } from "./candidate-loading.ts";
import { decidePlacement } from "./decision.ts";
import { DecisionFrame, NOWHERE } from "./decision-frame.ts";
import { recordOf } from "./decision-record.ts";
import { definedOf } from "./explain.ts";
import { PoolIds } from "./pool-ids.ts";

export const rules: PlacementRules = {
  constraints: [],
  preferences: [],
  capacityReserveRatio: 0,
  onNoFit: "degrade",
  stickinessMs: 2,
};

/** Budget 30 ms less 12 ms of other parts: an RTT of 18 ms fits. */
export function pool(name: string, rttMs: number, changes: Partial<PoolCandidate> = {}): PoolCandidate {
  return {
    pool: name,
    labels: {},
    reachable: true,
    cordoned: false,
    draining: false,
    rttMs,
    rttSource: "measured",
    parts: { budgetMs: 30, renderEncodeMsP95: 8, decodeMs: 3, jitterMs: 1, serialisationMs: 0 },
    slotsTotal: 10,
    slotsFree: 10,
    priceMs: 0,
    bundleMs: 0,
    ...changes,
  };
}

export interface SeenDecision {
  readonly outcome: { readonly state: string; readonly [part: string]: unknown };
  readonly considered: readonly {
    readonly pool: string;
    readonly rule: FilterRule | undefined;
    readonly scoreMs: number | undefined;
  }[];
  readonly nearest: string | undefined;
  readonly greedy: string | undefined;
  readonly record: Uint8Array;
  readonly ids: PoolIds;
}

export function decide(
  candidates: readonly PoolCandidate[],
  changes: Partial<PlacementRules> = {},
  currentPool?: string,
): SeenDecision {
  const frame = new DecisionFrame();
  const ids = new PoolIds();
  const ordered = loadCandidates(frame, { candidates, rules: { ...rules, ...changes }, currentPool }, ids);
  decidePlacement(frame);
  const { state, chosenAt, marginMs, bestAchievableMs, codes, scoresMs } = frame;
  const chosen = { state, pool: ordered[chosenAt]?.pool, marginMs: definedOf(marginMs) };
  return {
    outcome: chosenAt === NOWHERE ? { state, bestAchievableMs: definedOf(bestAchievableMs) } : chosen,
    considered: ordered.map(({ pool }, at) => ({
      pool,
      rule: FILTER_RULES[(codes[at] ?? 0) - 1],
      scoreMs: definedOf(scoresMs[at] ?? Number.NaN),
    })),
    nearest: ordered[frame.nearestAt]?.pool,
    greedy: ordered[frame.greedyAt]?.pool,
    record: recordOf(frame),
    ids,
  };
}

t.equal(pool("near", 4).pool, "near");
