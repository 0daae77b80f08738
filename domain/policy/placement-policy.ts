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

/** In CEL, of a pool's name, region, labels and coordinates. */
export interface ExpressionRequirement {
  readonly expression: string;
}

export interface ExpressionPreference extends ExpressionRequirement {
  readonly bonusMs: number;
}

export const NO_FIT_ACTIONS = ["degrade", "queue", "reject"] as const;
export type NoFitAction = (typeof NO_FIT_ACTIONS)[number];

/** What decisions take of a policy: every requirement is of labels, expressions having been judged. */
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

/** Whom a policy is for: one of each list that is there. */
export interface PolicyMatch {
  readonly tenants?: readonly string[];
  /** ISO 3166-1 alpha-2. */
  readonly countries?: readonly string[];
  readonly asns?: readonly number[];
  /** `192.0.2.0/24`, `2001:db8::/32`. */
  readonly cidrs?: readonly string[];
  readonly tiers?: readonly Tier[];
  /** In CEL, of client, device, app, site and tier. */
  readonly expression?: string;
}

export interface CapacityReserve {
  /** As `capacityReserveRatio`, which it stands for. */
  readonly ratio?: number;
  /** Of the pools within `withinKm` as many slots stay free as the largest of them has. */
  readonly largestNeighbour: boolean;
  readonly withinKm: number;
}

/** No more than a share of an app's sessions in one pool or region. */
export interface Spread {
  readonly over: "pool" | "region";
  readonly shareMax: number;
  /** Beyond the share a pool counts as so much farther; where not given it takes nothing. */
  readonly penaltyMs?: number;
}

/** What a session that could go on where it is needs to be moved. */
export interface Stability {
  /** Of the score. */
  readonly gainMs?: number;
  /** Of the round trip that it has. */
  readonly gainRatio?: number;
  /** Each renewal for so long has found it better. */
  readonly sustainedSeconds?: number;
  /** Of all sessions that the policy applies to, by one scheduler. */
  readonly movesPerMinuteMax?: number;
}

/** How much worse a change of this policy may make things, by a simulation of it. */
export interface GuardRails {
  readonly shareWithinLimitMin?: number;
  readonly shareWithinLimitMayFallByPoints?: number;
  readonly refusalsMayRiseByPoints?: number;
  readonly movesMax?: number;
  readonly fillBytesMax?: number;
}

/** A policy as operators write it. */
export interface WrittenPlacementPolicy extends Omit<PlacementPolicySpec, "constraints" | "preferences"> {
  readonly constraints: readonly (LabelRequirement | ExpressionRequirement)[];
  readonly preferences: readonly (LabelPreference | ExpressionPreference)[];
  /** Of several policies that match the highest goes first; 0 where not given. */
  readonly priority?: number;
  readonly match?: PolicyMatch;
  readonly capacityReserve?: CapacityReserve;
  readonly spread?: Spread;
  readonly stability?: Stability;
  readonly guardRails?: GuardRails;
}

export const CAPACITY_RESERVE_RATIO_MAX = 0.9;
/** A quarter of the way round the globe: nothing beyond it is a neighbour. */
export const NEIGHBOUR_KM_MAX = 10_000;
export const NEIGHBOUR_KM_DEFAULT = 100;
