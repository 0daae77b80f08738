/** Decides pool and render class of a session: the preferred class where it fits, a later one before being too far. Pure. */
import {
  decidePlacement,
  type PlacementDecision,
  type PlacementRules,
  type PoolCandidate,
} from "#domain/placement/decision.ts";
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
  readonly decision: PlacementDecision;
}

export interface SessionDecision {
  readonly outcome: SessionOutcome;
  /** Each class tried, in order. */
  readonly steps: readonly DecisionStep[];
}

/**
 * A class that no pool holds is passed over. Only a policy that degrades goes on to a later class, and only when all
 * are too far to uncontested capacity beyond the limit, with the least demanding class first.
 */
export function decideSession({ classes, rules, currentPool }: SessionDecisionRequest): SessionDecision {
  const held = classes.filter(({ candidates }) => candidates.length > 0);
  const mayDegrade = rules.onNoFit === "degrade";
  const tried = mayDegrade ? held : held.slice(0, 1);
  const withinLimit: PlacementRules = mayDegrade ? { ...rules, onNoFit: "queue" } : rules;
  const plan = [
    ...tried.map((entry) => ({ entry, rules: withinLimit, mayExceedLimit: false })),
    ...(mayDegrade ? tried.toReversed().map((entry) => ({ entry, rules, mayExceedLimit: true })) : []),
  ];
  const steps: DecisionStep[] = [];
  for (const { entry, rules, mayExceedLimit } of plan) {
    const decision = decidePlacement({ candidates: entry.candidates, rules, currentPool });
    steps.push({ renderClass: entry.renderClass.name, mayExceedLimit, decision });
    const chosen = findChosen(decision);
    if (chosen === undefined) continue;
    const isPreferred = decision.outcome.state === "placed" && entry === held[0];
    return {
      outcome: { state: isPreferred ? "placed" : "degraded", renderClass: entry.renderClass, ...chosen },
      steps,
    };
  }
  return { outcome: unplaced(steps, rules), steps };
}

function findChosen({ outcome, considered }: PlacementDecision) {
  if (!("pool" in outcome)) return undefined;
  const chosen = considered.find(({ candidate }) => candidate.pool === outcome.pool);
  if (chosen === undefined) return undefined;
  return { candidate: chosen.candidate, rttLimitMs: chosen.rttLimitMs, marginMs: outcome.marginMs };
}

function unplaced(steps: readonly DecisionStep[], rules: PlacementRules): SessionOutcome {
  const best = steps.flatMap(({ decision: { outcome } }) => {
    const ms = "bestAchievableMs" in outcome ? outcome.bestAchievableMs : undefined;
    return ms === undefined ? [] : [ms];
  });
  if (best.length === 0) return { state: "rejected", bestAchievableMs: undefined };
  return { state: rules.onNoFit === "reject" ? "rejected" : "queued", bestAchievableMs: Math.min(...best) };
}
