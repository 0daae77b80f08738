/** Which PlacementPolicy applies to an app and tier, and what holds where none does. Pure. */

import { BUDGET_MS_BY_TIER, type PlacementPolicySpec, type Tier } from "../policy/placement-policy.ts";
import type { PlacementRules } from "./candidate.ts";

export interface NamedPolicy {
  readonly name: string;
  /** Of the log entry that set it; 0 where it is not known. */
  readonly revision?: number;
  readonly spec: PlacementPolicySpec;
}

export interface AppliedPolicy {
  /** Undefined where no policy names the app. */
  readonly name: string | undefined;
  /** 0 where no policy names the app. */
  readonly revision: number;
  readonly budgetMs: number;
  readonly rules: PlacementRules;
  readonly sessionSecondsMax: number;
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

/** Of several that name the app: one that sets the tier's budget before one that does not, then the first by name. */
export function selectPolicy(policies: readonly NamedPolicy[], app: string, tier: Tier): AppliedPolicy {
  const naming = policies.filter(({ spec }) => spec.apps.includes(app));
  const byName = naming.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const chosen = byName.find(({ spec }) => spec.latencyBudgetMs[tier] !== undefined) ?? byName[0];
  return {
    name: chosen?.name,
    revision: chosen?.revision ?? 0,
    budgetMs: chosen?.spec.latencyBudgetMs[tier] ?? BUDGET_MS_BY_TIER[tier],
    rules: chosen?.spec ?? DEFAULT_RULES,
    sessionSecondsMax: chosen?.spec.sessionSecondsMax ?? SESSION_SECONDS_MAX_DEFAULT,
  };
}

/** What applies to a site's content: of several policies that name it the first by name. */
export function selectSitePolicy(
  policies: readonly NamedPolicy[],
  site: string,
): Pick<AppliedPolicy, "name" | "rules"> {
  const naming = policies.filter(({ spec }) => spec.sites.includes(site));
  const chosen = naming.toSorted((a, b) => (a.name < b.name ? -1 : 1))[0];
  return { name: chosen?.name, rules: chosen?.spec ?? DEFAULT_RULES };
}
