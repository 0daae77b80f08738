/**
 * What one placement decision is made from, and what it gives, in columns that are used again for the next one. Pure.
 *
 * Columns of numbers rather than objects: a decision over 32 pools allocates nothing, and a record of it is a copy.
 */
import type { NoFitAction } from "../policy/placement-policy.ts";

/** Four shortlists; what a session has measured beyond is farther. */
export const CANDIDATES_MAX = 128;

/** In place of a position. */
export const NOWHERE = -1;

export const REACHABLE = 1;
export const CORDONED = 2;
export const DRAINING = 4;
/** Above the flags, the place in `RTT_SOURCES`. */
export const SOURCE_SHIFT = 3;

/** How it ended: the two that name a pool come first. */
export const OUTCOME_STATES = ["placed", "degraded", "queued", "rejected"] as const;
export type OutcomeState = (typeof OUTCOME_STATES)[number];

export class DecisionFrame {
  /** Candidates in use. */
  count = 0;
  /** Where the session runs now; `NOWHERE` for a new one, or where that pool is no candidate. */
  currentAt = NOWHERE;
  onNoFit: NoFitAction = "degrade";
  priceVersion = 0;
  policyRevision = 0;
  budgetMs = 0;
  decodeMs = 0;
  jitterMs = 0;
  serialisationMs = 0;
  capacityReserveRatio = 0;
  stickinessMs = 0;

  /** Ids of the pools, in the order of their names: of two as good the first wins. */
  readonly pools = new Uint16Array(CANDIDATES_MAX);
  readonly flags = new Uint8Array(CANDIDATES_MAX);
  /** The first constraint of the policy that the pool's labels do not meet, from 1; 0 where they meet all. */
  readonly unmet = new Uint16Array(CANDIDATES_MAX);
  readonly rttMs = new Float64Array(CANDIDATES_MAX);
  /** What the RTT may be off by where distance alone says it; `NaN` elsewhere. */
  readonly rttErrorMs = new Float32Array(CANDIDATES_MAX);
  readonly renderEncodeMs = new Float64Array(CANDIDATES_MAX);
  readonly priceMs = new Float64Array(CANDIDATES_MAX);
  /** To be added: a bonus is negative. */
  readonly preferenceMs = new Float64Array(CANDIDATES_MAX);
  /** RTT by geography alone; `NaN` where the client's place is unknown. */
  readonly geographyMs = new Float32Array(CANDIDATES_MAX);
  /** For bytes of the scene that the pool lacks. */
  readonly bundleMs = new Float32Array(CANDIDATES_MAX);
  readonly slotsTotal = new Uint32Array(CANDIDATES_MAX);
  readonly slotsFree = new Uint32Array(CANDIDATES_MAX);
  /** Others that are expected to want the pool; 0 where nobody counts. */
  readonly expectedSessions = new Float32Array(CANDIDATES_MAX);

  /** Of the first rule that is failed, its place in `FILTER_RULES` from 1; 0 where the pool fits. */
  readonly codes = new Uint8Array(CANDIDATES_MAX);
  /** `NaN` where it could not be chosen. */
  readonly scoresMs = new Float64Array(CANDIDATES_MAX);
  state: OutcomeState = "rejected";
  chosenAt = NOWHERE;
  /** Ahead of the next best by so much; negative where it is the least contested of those as near; `NaN` where there was no other, or nothing is chosen. */
  marginMs = Number.NaN;
  /** Remote-path latency of the best pool that the policy permits; `NaN` where it permits none, or one is chosen. */
  bestAchievableMs = Number.NaN;
  /** Counterfactual: who goes by geography would have sent it here, whatever is free. */
  nearestAt = NOWHERE;
  /** Counterfactual: lowest RTT with capacity, without limit, price or preference. */
  greedyAt = NOWHERE;
}
