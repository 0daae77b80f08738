/** Decides which pool gets a session: filter, score, two-step choice, and the record that explains it. Pure. */
import { type BudgetParts, deriveRttLimitMs, remotePathMs } from "../latency/budget.ts";
import type { PlacementPolicySpec } from "../policy/placement-policy.ts";
import { meetsRequirement } from "./labels.ts";

/** A session that fits nowhere takes only capacity that nobody contends for (DESIGN section 8). */
const SPARE_FREE_RATIO = 0.05;
/** Keeps such a session off priced pools more strongly than one that fits. */
const SPARE_PRICE_FACTOR = 3;
/** Between two pools as near, the emptier one: a full pool counts as this much farther. */
const FILL_MS_MAX = 2;

export interface PoolCandidate {
  readonly pool: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Whether a node of the pool can be reached; a pool that is dead takes nothing. */
  readonly reachable: boolean;
  readonly cordoned: boolean;
  readonly draining: boolean;
  readonly rttMs: number;
  readonly rttSource: "measured" | "history" | "geography";
  readonly parts: BudgetParts;
  readonly slotsTotal: number;
  /** Reservations taken off. */
  readonly slotsFree: number;
  /** From the slow loop; 0 is plain lowest RTT. */
  readonly priceMs: number;
}

export type PlacementRules = Pick<
  PlacementPolicySpec,
  "constraints" | "preferences" | "capacityReserveRatio" | "onNoFit" | "stickinessMs"
>;

export interface PlacementRequest {
  readonly candidates: readonly PoolCandidate[];
  readonly rules: PlacementRules;
  /** Where the session runs now; undefined for a new one. */
  readonly currentPool?: string | undefined;
}

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

/** The first rule that a pool fails; the reason names the values. */
export interface Rejection {
  readonly rule: FilterRule;
  readonly reason: string;
}

/** Milliseconds; the lowest total wins. */
export interface ScoreTerms {
  readonly rttMs: number;
  readonly priceMs: number;
  readonly fillMs: number;
  readonly preferenceMs: number;
  readonly stickinessMs: number;
}

export interface ConsideredPool {
  readonly candidate: PoolCandidate;
  readonly rttLimitMs: number;
  /** The first rule it fails; undefined where it fits. */
  readonly rejection: Rejection | undefined;
  /** Undefined where it could not be chosen. */
  readonly terms: ScoreTerms | undefined;
  readonly scoreMs: number | undefined;
}

export type PlacementOutcome =
  | {
      readonly state: "placed" | "degraded";
      readonly pool: string;
      /** Ahead of the next best by so much; undefined where there was no other. */
      readonly marginMs: number | undefined;
    }
  | {
      readonly state: "queued" | "rejected";
      /** Remote-path latency of the best pool that the policy permits; undefined where it permits none. */
      readonly bestAchievableMs: number | undefined;
    };

export interface PlacementDecision {
  readonly outcome: PlacementOutcome;
  /** In the order of the pools' names. */
  readonly considered: readonly ConsideredPool[];
}

/** Two-step rule: within the limit, the lowest score; else uncontested spare capacity, or as the policy says. */
export function decidePlacement(request: PlacementRequest): PlacementDecision {
  const candidates = request.candidates.toSorted((a, b) => (a.pool < b.pool ? -1 : 1));
  const fitting = candidates.map((candidate) => considerFit(candidate, request));
  const winner = findWinner(fitting);
  if (winner !== undefined) return { outcome: { state: "placed", ...winner }, considered: fitting };
  if (request.rules.onNoFit === "degrade") {
    const spare = fitting.map((pool) => considerSpare(pool, request));
    const second = findWinner(spare);
    if (second !== undefined) return { outcome: { state: "degraded", ...second }, considered: spare };
  }
  const bestAchievableMs = findBestAchievableMs(fitting);
  const mayWait = request.rules.onNoFit !== "reject" && bestAchievableMs !== undefined;
  return { outcome: { state: mayWait ? "queued" : "rejected", bestAchievableMs }, considered: fitting };
}

function considerFit(candidate: PoolCandidate, request: PlacementRequest): ConsideredPool {
  const rejection = findRejection(candidate, request);
  const unscored = { candidate, rttLimitMs: deriveRttLimitMs(candidate.parts), rejection };
  if (rejection !== undefined) return { ...unscored, terms: undefined, scoreMs: undefined };
  return { ...unscored, ...score(candidate, request, 1) };
}

/** A pool too far, or nothing else, may take the session where enough is free. */
function considerSpare(pool: ConsideredPool, request: PlacementRequest): ConsideredPool {
  const { candidate } = pool;
  const freeRatioMin = Math.max(SPARE_FREE_RATIO, request.rules.capacityReserveRatio);
  const isSpare = candidate.slotsFree > freeRatioMin * candidate.slotsTotal;
  if (pool.rejection?.rule !== "over-limit" || !isSpare) return pool;
  return { ...pool, ...score(candidate, request, SPARE_PRICE_FACTOR) };
}

function findRejection(candidate: PoolCandidate, request: PlacementRequest): Rejection | undefined {
  const { rules } = request;
  if (!candidate.reachable) return { rule: "unreachable", reason: "no node of the pool can be reached" };
  if (candidate.draining) return { rule: "draining", reason: "the pool is draining" };
  const isCurrent = candidate.pool === request.currentPool;
  if (candidate.cordoned && !isCurrent) return { rule: "cordoned", reason: "the pool takes no new sessions" };
  const unmet = rules.constraints.find((requirement) => !meetsRequirement(candidate.labels, requirement));
  if (unmet !== undefined) {
    const values = unmet.values === undefined ? "" : ` [${unmet.values.join(", ")}]`;
    return { rule: "label-constraint", reason: `label ${unmet.label} ${unmet.operator}${values} does not hold` };
  }
  const limitMs = deriveRttLimitMs(candidate.parts);
  if (candidate.rttMs > limitMs) {
    return { rule: "over-limit", reason: `RTT ${format(candidate.rttMs)} ms > limit ${format(limitMs)} ms` };
  }
  return isCurrent ? undefined : findCapacityRejection(candidate, rules.capacityReserveRatio);
}

/** The session's own pool has its slot already. */
function findCapacityRejection(candidate: PoolCandidate, reserveRatio: number): Rejection | undefined {
  const free = `${candidate.slotsFree} of ${candidate.slotsTotal} slots free`;
  if (candidate.slotsFree < 1) return { rule: "no-free-slot", reason: free };
  // Taking one slot has to leave the reserve free.
  if (candidate.slotsFree - 1 < reserveRatio * candidate.slotsTotal) {
    return { rule: "capacity-reserve", reason: `${free}, the policy keeps ${format(reserveRatio * 100)} %` };
  }
  return undefined;
}

function score(
  candidate: PoolCandidate,
  request: PlacementRequest,
  priceFactor: number,
): { terms: ScoreTerms; scoreMs: number } {
  const { preferences, stickinessMs } = request.rules;
  const matched = preferences.filter((preference) => meetsRequirement(candidate.labels, preference));
  const usedRatio = candidate.slotsTotal === 0 ? 1 : 1 - candidate.slotsFree / candidate.slotsTotal;
  const terms = {
    rttMs: candidate.rttMs,
    priceMs: priceFactor * candidate.priceMs,
    fillMs: FILL_MS_MAX * usedRatio,
    preferenceMs: 0 - matched.reduce((sum, preference) => sum + preference.bonusMs, 0),
    stickinessMs: candidate.pool === request.currentPool ? 0 - stickinessMs : 0,
  };
  const scoreMs = terms.rttMs + terms.priceMs + terms.fillMs + terms.preferenceMs + terms.stickinessMs;
  return { terms, scoreMs };
}

/** Of two as good, the first by name. */
function findWinner(pools: readonly ConsideredPool[]): { pool: string; marginMs: number | undefined } | undefined {
  const scored = pools.flatMap(({ candidate, scoreMs }) =>
    scoreMs === undefined ? [] : [{ pool: candidate.pool, scoreMs }],
  );
  scored.sort((a, b) => a.scoreMs - b.scoreMs);
  const [first, second] = scored;
  if (first === undefined) return undefined;
  return { pool: first.pool, marginMs: second === undefined ? undefined : second.scoreMs - first.scoreMs };
}

function findBestAchievableMs(pools: readonly ConsideredPool[]): number | undefined {
  const permitted = pools.filter(({ rejection }) => isOfDistanceOrCapacity(rejection?.rule));
  if (permitted.length === 0) return undefined;
  return Math.min(...permitted.map(({ candidate }) => remotePathMs(candidate.parts, candidate.rttMs)));
}

function isOfDistanceOrCapacity(rule: FilterRule | undefined): boolean {
  return rule === undefined || rule === "over-limit" || rule === "no-free-slot" || rule === "capacity-reserve";
}

function format(value: number): string {
  return value.toFixed(1);
}
