/** Decides pool and render class of a session: the preferred class where it fits, a later one before being too far. Pure. */
import type { PlacementRules, PoolCandidate } from "#domain/placement/candidate.ts";
import { loadCandidates } from "#domain/placement/candidate-loading.ts";
import { planClassTries } from "#domain/placement/class-tries.ts";
import { decidePlacement, rttLimitMsOf } from "#domain/placement/decision.ts";
import { DecisionFrame } from "#domain/placement/decision-frame.ts";
import { recordOf } from "#domain/placement/decision-record.ts";
import { definedOf } from "#domain/placement/explain.ts";
import type { PoolIds } from "#domain/placement/pool-ids.ts";
import type { RenderClass } from "#domain/session/render-app.ts";

export interface ClassCandidates {
  readonly renderClass: RenderClass;
  /** Pools that hold the class. */
  readonly candidates: readonly PoolCandidate[];
}

export interface SessionDecisionRequest {
  /** In the app's order of preference. */
  readonly classes: readonly ClassCandidates[];
  readonly rules: PlacementRules;
  readonly currentPool?: string | undefined;
  /** Of the policy that the rules are of; 0 for none. */
  readonly policyRevision?: number;
  /** Of the prices that the candidates have; 0 for none. */
  readonly priceVersion?: number;
  readonly pools: PoolIds;
}

export type SessionOutcome =
  | {
      readonly state: "placed" | "degraded";
      readonly renderClass: RenderClass;
      readonly candidate: PoolCandidate;
      readonly rttLimitMs: number;
      /** Ahead of the next best by so much; undefined where there was no other. */
      readonly marginMs: number | undefined;
    }
  | { readonly state: "queued"; readonly bestAchievableMs: number }
  | { readonly state: "rejected"; readonly bestAchievableMs: number | undefined };

export interface DecisionStep {
  readonly renderClass: string;
  /** Whether spare capacity beyond the limit was looked for as well, which comes after all classes. */
  readonly mayExceedLimit: boolean;
  /** As `decision-record.ts` packs it; pools by their ids. */
  readonly record: Uint8Array;
}

export interface SessionDecision {
  readonly outcome: SessionOutcome;
  /** Each class tried, in order. */
  readonly steps: readonly DecisionStep[];
}

/** Of all decisions: each is made, and its record taken, before anything else runs. */
const frame = new DecisionFrame();

/** A class that no pool holds is passed over. */
export function decideSession({ classes, pools, ...request }: SessionDecisionRequest): SessionDecision {
  const { rules } = request;
  const held = classes.filter(({ candidates }) => candidates.length > 0);
  const steps: DecisionStep[] = [];
  const best: number[] = [];
  for (const { renderClass: entry, onNoFit, mayExceedLimit } of planClassTries(held, rules.onNoFit)) {
    const { renderClass, candidates } = entry;
    const ordered = loadCandidates(frame, { ...request, candidates, rules: { ...rules, onNoFit } }, pools);
    decidePlacement(frame);
    steps.push({ renderClass: renderClass.name, mayExceedLimit, record: recordOf(frame) });
    const candidate = ordered[frame.chosenAt];
    if (candidate !== undefined) {
      const state = frame.state === "placed" && entry === held[0] ? "placed" : "degraded";
      const rttLimitMs = rttLimitMsOf(frame, frame.chosenAt);
      return { outcome: { state, renderClass, candidate, rttLimitMs, marginMs: definedOf(frame.marginMs) }, steps };
    }
    if (!Number.isNaN(frame.bestAchievableMs)) best.push(frame.bestAchievableMs);
  }
  return { outcome: unplaced(best, rules), steps };
}

/** `best` of each class that some pool could take. */
function unplaced(best: readonly number[], { onNoFit }: PlacementRules): SessionOutcome {
  if (best.length === 0) return { state: "rejected", bestAchievableMs: undefined };
  return { state: onNoFit === "reject" ? "rejected" : "queued", bestAchievableMs: Math.min(...best) };
}
