/** Fills a decision's frame with candidates that are given one by one. Pure. */
import { type PlacementRules, type PoolCandidate, RTT_SOURCES } from "./candidate.ts";
import {
  CANDIDATES_MAX,
  CORDONED,
  type DecisionFrame,
  DRAINING,
  NOWHERE,
  REACHABLE,
  SOURCE_SHIFT,
} from "./decision-frame.ts";
import { firstUnmet, preferenceMsOf } from "./labels.ts";
import type { PoolIds } from "./pool-ids.ts";

export interface PlacementRequest {
  readonly candidates: readonly PoolCandidate[];
  readonly rules: PlacementRules;
  /** Where the session runs now; undefined for a new one. */
  readonly currentPool?: string | undefined;
  readonly priceVersion?: number;
  readonly policyRevision?: number;
}

/** Answers the candidates in the frame's order; of more than `CANDIDATES_MAX` the farthest are left out. */
export function loadCandidates(
  frame: DecisionFrame,
  { candidates, rules, currentPool, priceVersion = 0, policyRevision = 0 }: PlacementRequest,
  ids: PoolIds,
): readonly PoolCandidate[] {
  const nearest =
    candidates.length > CANDIDATES_MAX
      ? candidates.toSorted((a, b) => a.rttMs - b.rttMs || byName(a, b)).slice(0, CANDIDATES_MAX)
      : candidates;
  const ordered = nearest.toSorted(byName);
  const parts = ordered[0]?.parts;
  frame.count = ordered.length;
  frame.currentAt = currentPool === undefined ? NOWHERE : ordered.findIndex(({ pool }) => pool === currentPool);
  frame.onNoFit = rules.onNoFit;
  frame.priceVersion = priceVersion;
  frame.policyRevision = policyRevision;
  frame.budgetMs = parts?.budgetMs ?? 0;
  frame.decodeMs = parts?.decodeMs ?? 0;
  frame.jitterMs = parts?.jitterMs ?? 0;
  frame.serialisationMs = parts?.serialisationMs ?? 0;
  frame.capacityReserveRatio = rules.capacityReserveRatio;
  frame.stickinessMs = rules.stickinessMs;
  for (const [at, candidate] of ordered.entries()) loadCandidate(frame, at, { candidate, rules, ids });
  return ordered;
}

function loadCandidate(
  frame: DecisionFrame,
  at: number,
  { candidate, rules, ids }: { candidate: PoolCandidate; rules: PlacementRules; ids: PoolIds },
): void {
  const { reachable, cordoned, draining, rttSource } = candidate;
  const flags = (reachable ? REACHABLE : 0) | (cordoned ? CORDONED : 0) | (draining ? DRAINING : 0);
  frame.pools[at] = ids.idOf(candidate.pool);
  frame.flags[at] = flags | (RTT_SOURCES.indexOf(rttSource) << SOURCE_SHIFT);
  frame.unmet[at] = firstUnmet(candidate.labels, rules.constraints);
  frame.rttMs[at] = candidate.rttMs;
  frame.rttErrorMs[at] = candidate.rttErrorMs ?? Number.NaN;
  frame.renderEncodeMs[at] = candidate.parts.renderEncodeMsP95;
  frame.priceMs[at] = candidate.priceMs;
  frame.preferenceMs[at] = preferenceMsOf(candidate.labels, rules.preferences);
  frame.geographyMs[at] = candidate.geographyRttMs ?? Number.NaN;
  frame.bundleMs[at] = candidate.bundleMs;
  frame.slotsTotal[at] = candidate.slotsTotal;
  frame.slotsFree[at] = candidate.slotsFree;
  frame.expectedSessions[at] = candidate.expectedSessions ?? 0;
}

function byName(a: PoolCandidate, b: PoolCandidate): number {
  return a.pool < b.pool ? -1 : 1;
}
