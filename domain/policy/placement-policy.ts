/** Where sessions and content may and should be placed. Pure. */

export const TIERS = ["strict", "standard", "relaxed"] as const;
export type Tier = (typeof TIERS)[number];

/** Remote-path latency p95 each tier keeps (DESIGN: the 30 ms budget). */
export const BUDGET_MS_BY_TIER: Readonly<Record<Tier, number>> = { strict: 30, standard: 50, relaxed: 70 };

export const LATENCY_BUDGET_MS_MIN = 5;
export const LATENCY_BUDGET_MS_MAX = 200;

export interface LabelRequirement {
  readonly label: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  readonly values?: readonly string[];
}

export interface LabelPreference extends LabelRequirement {
  /** Taken off the score of a pool that matches; negative repels. */
  readonly bonusMs: number;
}

export const NO_FIT_ACTIONS = ["degrade", "queue", "reject"] as const;
export type NoFitAction = (typeof NO_FIT_ACTIONS)[number];

export interface PlacementPolicySpec {
  readonly apps: readonly string[];
  readonly sites: readonly string[];
  readonly latencyBudgetMs: Readonly<Partial<Record<Tier, number>>>;
  readonly constraints: readonly LabelRequirement[];
  readonly preferences: readonly LabelPreference[];
  /** Share of each pool's slots that new sessions leave free. */
  readonly capacityReserveRatio: number;
  readonly onNoFit: NoFitAction;
  /** A session ends after this, whatever its client does. */
  readonly sessionSecondsMax: number;
  /** A soft move needs at least this gain. */
  readonly stickinessMs: number;
}
