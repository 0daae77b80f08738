/** Which PlacementPolicy applies to an app, tier and client, and what holds where none does. Pure. */

import {
  BUDGET_MS_BY_TIER,
  type CapacityReserve,
  type ExpressionRequirement,
  type LabelRequirement,
  type Spread,
  type Stability,
  type Tier,
  type WrittenPlacementPolicy,
} from "../policy/placement-policy.ts";
import { matchPolicies, type NamedPolicy, type PolicyClient, type PolicySubject } from "../policy/policy-match.ts";
import type { PlacementRules } from "./candidate.ts";
import { failedExpressions, type Labels, labelOfExpression } from "./labels.ts";

export interface AppliedPolicy {
  /** Undefined where no policy names the app or none of them matches. */
  readonly name: string | undefined;
  /** 0 where no policy names the app. */
  readonly revision: number;
  readonly budgetMs: number;
  readonly rules: PlacementRules;
  readonly sessionSecondsMax: number;
  /** What a pool's neighbours keep free; undefined where the policy asks for nothing of the kind. */
  readonly neighbourReserve?: Pick<CapacityReserve, "withinKm"> | undefined;
  readonly spread?: Spread | undefined;
  readonly stability?: Stability | undefined;
  /** Which policies name the app and could not be judged. */
  readonly notes?: readonly string[];
}

/** As a policy that says nothing. */
const DEFAULT_RULES: PlacementRules = {
  constraints: [],
  preferences: [],
  capacityReserveRatio: 0,
  onNoFit: "degrade",
  stickinessMs: 2,
};
const SESSION_SECONDS_MAX_DEFAULT = 14_400;

/** One policy applies, whole: nothing of two is merged. */
export function selectPolicy(
  policies: readonly NamedPolicy[],
  app: string,
  tier: Tier,
  client: PolicyClient = {},
): AppliedPolicy {
  const { chosen, notes } = choose(policies, { ...client, app, tier });
  const reserve = chosen?.spec.capacityReserve;
  return {
    name: chosen?.name,
    revision: chosen?.revision ?? 0,
    budgetMs: chosen?.spec.latencyBudgetMs[tier] ?? BUDGET_MS_BY_TIER[tier],
    rules: chosen === undefined ? DEFAULT_RULES : rulesOf(chosen.spec),
    sessionSecondsMax: chosen?.spec.sessionSecondsMax ?? SESSION_SECONDS_MAX_DEFAULT,
    neighbourReserve: reserve?.largestNeighbour === true ? { withinKm: reserve.withinKm } : undefined,
    spread: chosen?.spec.spread,
    stability: chosen?.spec.stability,
    notes,
  };
}

export type SitePolicy = Pick<AppliedPolicy, "name" | "rules" | "notes">;

/** What applies to a site's content. A policy for tiers is for sessions only. */
export function selectSitePolicy(
  policies: readonly NamedPolicy[],
  site: string,
  client: PolicyClient = {},
): SitePolicy {
  const { chosen, notes } = choose(policies, { ...client, site });
  return { name: chosen?.name, rules: chosen === undefined ? DEFAULT_RULES : rulesOf(chosen.spec), notes };
}

/** What could not be judged of the policies, and of the pools by the one that applies. */
export function listUnjudged(
  { rules, notes }: Pick<AppliedPolicy, "rules" | "notes">,
  pools: readonly { readonly pool: string; readonly labels: Labels }[],
): readonly string[] {
  const requirements = [...rules.constraints, ...rules.preferences];
  const ofPools = pools.flatMap(({ pool, labels }) =>
    failedExpressions(labels, requirements).map((reason) => `${pool}: ${reason}`),
  );
  return [...(notes ?? []), ...ofPools];
}

/** For who knows the app and nothing of the client: the longest that a policy of the app permits anybody. */
export function longestSessionSeconds(policies: readonly NamedPolicy[], app: string, tier: Tier): number {
  const forSome = policies.filter(
    ({ spec: { apps, match } }) => apps.includes(app) && match !== undefined && (match.tiers ?? [tier]).includes(tier),
  );
  const { sessionSecondsMax } = selectPolicy(policies, app, tier);
  return Math.max(sessionSecondsMax, ...forSome.map(({ spec }) => spec.sessionSecondsMax));
}

/** Of the policies of an app that are for some clients only. */
export function rulesForSome(policies: readonly NamedPolicy[], app: string): readonly PlacementRules[] {
  return policies.flatMap(({ spec }) => (spec.match !== undefined && spec.apps.includes(app) ? [rulesOf(spec)] : []));
}

function choose(policies: readonly NamedPolicy[], subject: PolicySubject) {
  const { ordered, unmatched } = matchPolicies(policies, subject);
  const notes = unmatched
    .filter(({ failed }) => failed)
    .map(({ policy, reason }) => `policy ${policy.name}: ${reason}`);
  return { chosen: ordered[0]?.policy, notes };
}

/** Expressions as requirements of the label that each is judged by. */
function rulesOf(spec: WrittenPlacementPolicy): PlacementRules {
  return {
    constraints: spec.constraints.map(requirementOf),
    preferences: spec.preferences.map((preference) => ({
      ...requirementOf(preference),
      bonusMs: preference.bonusMs,
    })),
    capacityReserveRatio: spec.capacityReserve?.ratio ?? spec.capacityReserveRatio,
    onNoFit: spec.onNoFit,
    stickinessMs: Math.max(spec.stickinessMs, spec.stability?.gainMs ?? 0),
  };
}

export function requirementOf(written: LabelRequirement | ExpressionRequirement): LabelRequirement {
  if (!("expression" in written)) return written;
  return { label: labelOfExpression(written.expression), operator: "In", values: ["true"] };
}
