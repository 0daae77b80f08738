/**
 * Chooses among pools that are as near as each other: not the emptiest, but the one that the fewest other sessions are
 * expected to want for each slot still free. Distance says nothing in a metro; who else depends on a pool does. Pure.
 */
import { type DecisionFrame, NOWHERE } from "./decision-frame.ts";

/** Below what a session feels, and about what a round trip is measured to. */
export const AS_NEAR_MS = 1;
/** A pool of which nothing is expected is chosen by its free slots, and one that is forgotten by a forecast not for nothing. */
const DEMAND_FLOOR = 1;

/** Cells with the pools within their limit, in compressed rows, and the sessions expected of each, as in `PriceProblem`. */
export interface CellDemand {
  readonly firstOf: ArrayLike<number>;
  readonly pools: ArrayLike<number>;
  readonly rttMs: ArrayLike<number>;
  readonly demand: ArrayLike<number>;
}

/**
 * Counts sessions of one client group, expected or arrived, at the pools that would do for it as well as its nearest:
 * entries `from` up to `to`, an even part at each. `expected` is by pool, in sessions. O(entries), allocates nothing.
 */
export function addDemand(
  expected: Float64Array,
  { pools, rttMs, from, to }: Pick<CellDemand, "pools" | "rttMs"> & { readonly from: number; readonly to: number },
  sessions: number,
): void {
  let nearest = Number.POSITIVE_INFINITY;
  for (let entry = from; entry < to; entry += 1) nearest = Math.min(nearest, rttMs[entry] ?? nearest);
  let count = 0;
  for (let entry = from; entry < to; entry += 1) if ((rttMs[entry] ?? 0) <= nearest + AS_NEAR_MS) count += 1;
  for (let entry = from; entry < to; entry += 1) {
    const pool = pools[entry] ?? 0;
    if ((rttMs[entry] ?? 0) <= nearest + AS_NEAR_MS) expected[pool] = (expected[pool] ?? 0) + sessions / count;
  }
}

/** What all cells together are expected to want of each of `pools` pools. */
export function expectSessions({ firstOf, demand, ...of }: CellDemand, pools: number): Float64Array {
  const expected = new Float64Array(pools);
  for (let cell = 0; cell < demand.length; cell += 1) {
    addDemand(expected, { ...of, from: firstOf[cell] ?? 0, to: firstOf[cell + 1] ?? 0 }, demand[cell] ?? 0);
  }
  return expected;
}

/** Sessions expected for each free slot of the candidate; infinite where it is full. */
export function contentionOf({ expectedSessions, slotsFree }: DecisionFrame, at: number): number {
  return (DEMAND_FLOOR + (expectedSessions[at] ?? 0)) / (slotsFree[at] ?? 0);
}

/**
 * Of those that fit and are as near as the one at `bestAt`, the least contested; of two as contested that of the lower score, and
 * then the first. `NOWHERE` where nothing is expected of any: then scores decide. A session that moves goes to nothing
 * that is as far as where it is. O(candidates), allocates nothing.
 */
export function chooseLeastContested(frame: DecisionFrame, bestAt: number): number {
  const { scoresMs, expectedSessions, count } = frame;
  const bestMs = scoresMs[bestAt] ?? Number.NaN;
  const heldMs = heldMsOf(frame);
  let chosenAt = NOWHERE;
  let chosenMs = Number.POSITIVE_INFINITY;
  let least = Number.POSITIVE_INFINITY;
  let isExpected = false;
  for (let at = 0; at < count; at += 1) {
    const scoreMs = scoresMs[at] ?? Number.NaN;
    if (!isAsNear(scoreMs, bestMs, heldMs)) continue;
    if ((expectedSessions[at] ?? 0) > 0) isExpected = true;
    const contention = contentionOf(frame, at);
    if (contention < least || (contention === least && scoreMs < chosenMs)) {
      chosenAt = at;
      chosenMs = scoreMs;
      least = contention;
    }
  }
  return isExpected ? chosenAt : NOWHERE;
}

/** The score where the session runs; `NaN` for a new one, and where it cannot stay. */
function heldMsOf({ currentAt, scoresMs }: DecisionFrame): number {
  return currentAt === NOWHERE ? Number.NaN : (scoresMs[currentAt] ?? Number.NaN);
}

/** False of a score that is none. */
function isAsNear(scoreMs: number, bestMs: number, heldMs: number): boolean {
  return scoreMs <= bestMs + AS_NEAR_MS && !(scoreMs >= heldMs);
}

/** Of a decided frame, what was chosen among by contention, the chosen one first; none where scores alone decided. */
export function listContested(frame: DecisionFrame): readonly number[] {
  const { state, chosenAt, currentAt, count, scoresMs } = frame;
  if (state !== "placed" || chosenAt === currentAt) return [];
  const scores = [...scoresMs.subarray(0, count)];
  const bestMs = Math.min(...scores.filter((scoreMs) => !Number.isNaN(scoreMs)));
  const near = [...scores.keys()].filter((at) => isAsNear(scores[at] ?? Number.NaN, bestMs, heldMsOf(frame)));
  if (near.length < 2 || !near.some((at) => (frame.expectedSessions[at] ?? 0) > 0)) return [];
  const others = near.filter((at) => at !== chosenAt);
  return [chosenAt, ...others.sort((a, b) => contentionOf(frame, a) - contentionOf(frame, b))];
}
