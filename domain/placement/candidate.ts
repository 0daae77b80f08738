/** A pool that a session may go to, as a decision takes it, and the rules that a policy sets. Pure. */
import type { BudgetParts } from "../latency/budget.ts";
import type { PlacementPolicySpec } from "../policy/placement-policy.ts";
import type { Labels } from "./labels.ts";

/** `geography`: nobody of the client's groups has measured it, and its distance says what to expect. */
export const RTT_SOURCES = ["measured", "history", "geography"] as const;
export type RttSource = (typeof RTT_SOURCES)[number];

export interface PoolCandidate {
  readonly pool: string;
  readonly labels: Labels;
  /** Whether a node of the pool can be reached; a pool that is dead takes nothing. */
  readonly reachable: boolean;
  readonly cordoned: boolean;
  readonly draining: boolean;
  readonly rttMs: number;
  readonly rttSource: RttSource;
  /** What an estimate by distance may be off by; undefined of what is measured, and where the client's place is unknown. */
  readonly rttErrorMs?: number | undefined;
  /** What geography alone says; undefined where the client's place is unknown. Decides nothing. */
  readonly geographyRttMs?: number | undefined;
  /** All of one decision have the same but for `renderEncodeMsP95`. */
  readonly parts: BudgetParts;
  readonly slotsTotal: number;
  /** Reservations taken off. */
  readonly slotsFree: number;
  /** From the slow loop; 0 is plain lowest RTT. */
  readonly priceMs: number;
  /** What waiting for the scene counts where the pool does not hold it yet; 0 where nothing is missing. */
  readonly bundleMs: number;
  /** Others that are expected to want the pool, from the slow loop; of pools as near it decides. 0 where not given. */
  readonly expectedSessions?: number | undefined;
}

export type PlacementRules = Pick<
  PlacementPolicySpec,
  "constraints" | "preferences" | "capacityReserveRatio" | "onNoFit" | "stickinessMs"
>;

/** In the order in which they are looked at: the first that a pool fails is kept, as its place here from 1. */
export const FILTER_RULES = [
  "unreachable",
  "draining",
  "cordoned",
  "label-constraint",
  "over-limit",
  "no-free-slot",
  "capacity-reserve",
] as const;
export type FilterRule = (typeof FILTER_RULES)[number];
