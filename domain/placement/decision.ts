/**
 * Decides which pool gets a session: filter, score, two-step choice. Pure; over columns, for it is the scheduler's hot path.
 *
 * Two-step rule: within the limit, the lowest score, and of those as near the least contested; else uncontested spare capacity, or as the policy says.
 */
import { fixedMs } from "../latency/budget.ts";
import { FILTER_RULES } from "./candidate.ts";
import { AS_NEAR_MS, chooseLeastContested } from "./contention.ts";
import { CORDONED, type DecisionFrame, DRAINING, NOWHERE, type OutcomeState, REACHABLE } from "./decision-frame.ts";
import { SPARE_FREE_RATIO, SPARE_PRICE_FACTOR } from "./two-step.ts";

/** Between two pools as near, the emptier one: a full pool counts as this much farther. */
const FILL_MS_MAX = 2;

const FITS = 0;
const UNREACHABLE = codeOf("unreachable");
const IS_DRAINING = codeOf("draining");
const IS_CORDONED = codeOf("cordoned");
const LABEL_CONSTRAINT = codeOf("label-constraint");
const OVER_LIMIT = codeOf("over-limit");
const NO_FREE_SLOT = codeOf("no-free-slot");
const CAPACITY_RESERVE = codeOf("capacity-reserve");

function codeOf(rule: (typeof FILTER_RULES)[number]): number {
  return FILTER_RULES.indexOf(rule) + 1;
}

/** Reads what the frame asks, writes codes, scores, outcome and counterfactuals, and answers the state. O(candidates), allocates nothing. */
export function decidePlacement(frame: DecisionFrame): OutcomeState {
  frame.bestAchievableMs = Number.NaN;
  filterAndChoose(frame);
  let state: OutcomeState = "placed";
  if (frame.chosenAt === NOWHERE && frame.onNoFit === "degrade") {
    chooseSpare(frame);
    state = "degraded";
  }
  if (frame.chosenAt === NOWHERE) {
    frame.bestAchievableMs = findBestAchievableMs(frame);
    state = frame.onNoFit === "reject" || Number.isNaN(frame.bestAchievableMs) ? "rejected" : "queued";
  }
  frame.state = state;
  return state;
}

/** One pass, of which the time of a decision is made: the best of those that fit, and what two simpler rules choose. Of two as good, the first by name. */
function filterAndChoose(frame: DecisionFrame): void {
  const { codes, scoresMs, rttMs, geographyMs, count } = frame;
  let chosenAt = NOWHERE;
  let best = Number.POSITIVE_INFINITY;
  let second = Number.POSITIVE_INFINITY;
  let nearestAt = NOWHERE;
  let nearest = Number.POSITIVE_INFINITY;
  let greedyAt = NOWHERE;
  let greedy = Number.POSITIVE_INFINITY;
  for (let at = 0; at < count; at += 1) {
    const code = findCode(frame, at);
    codes[at] = code;
    const score = code === FITS ? scoreMsOf(frame, at, 1) : Number.NaN;
    scoresMs[at] = score;
    if (score < best) {
      second = best;
      best = score;
      chosenAt = at;
    } else if (score < second) second = score;
    if (!isPermitted(code)) continue;
    const geography = geographyMs[at] ?? Number.NaN;
    if (geography < nearest) {
      nearest = geography;
      nearestAt = at;
    }
    const rtt = rttMs[at] ?? Number.NaN;
    if (rtt < greedy && (code === FITS || hasRoom(frame, at, code))) {
      greedy = rtt;
      greedyAt = at;
    }
  }
  frame.nearestAt = nearestAt;
  frame.greedyAt = greedyAt;
  conclude(frame, chosenAt, second - best);
  // Most decisions have one best alone. Where a session runs it stays, whoever else wants the pool.
  if (second <= best + AS_NEAR_MS && chosenAt !== frame.currentAt) yieldToOthers(frame);
}

function yieldToOthers(frame: DecisionFrame): void {
  const { scoresMs, chosenAt } = frame;
  const leastAt = chooseLeastContested(frame, chosenAt);
  if (leastAt === NOWHERE || leastAt === chosenAt) return;
  frame.chosenAt = leastAt;
  frame.marginMs = (scoresMs[chosenAt] ?? 0) - (scoresMs[leastAt] ?? 0);
}

/** A pool too far, and nothing else, may take the session where enough is free. */
function chooseSpare(frame: DecisionFrame): void {
  const { codes, scoresMs, slotsFree, slotsTotal, count } = frame;
  const freeRatioMin = Math.max(SPARE_FREE_RATIO, frame.capacityReserveRatio);
  let chosenAt = NOWHERE;
  let best = Number.POSITIVE_INFINITY;
  let second = Number.POSITIVE_INFINITY;
  for (let at = 0; at < count; at += 1) {
    if (codes[at] !== OVER_LIMIT) continue;
    // Where it runs it has a slot.
    if (at !== frame.currentAt && !((slotsFree[at] ?? 0) > freeRatioMin * (slotsTotal[at] ?? 0))) continue;
    const score = scoreMsOf(frame, at, SPARE_PRICE_FACTOR);
    scoresMs[at] = score;
    if (score < best) {
      second = best;
      best = score;
      chosenAt = at;
    } else if (score < second) second = score;
  }
  conclude(frame, chosenAt, second - best);
}

/** A margin that is no number: there was no other. */
function conclude(frame: DecisionFrame, chosenAt: number, marginMs: number): void {
  frame.chosenAt = chosenAt;
  frame.marginMs = marginMs < Number.POSITIVE_INFINITY ? marginMs : Number.NaN;
}

/** What the budget leaves for the network; negative where the pool cannot keep it at any distance. */
export function rttLimitMsOf(frame: DecisionFrame, at: number): number {
  return frame.budgetMs - fixedMs(frame, frame.renderEncodeMs[at] ?? 0);
}

/** What of the score is not a column of the frame; 0 to 2 ms. */
export function fillMsOf(frame: DecisionFrame, at: number): number {
  const total = frame.slotsTotal[at] ?? 0;
  return FILL_MS_MAX * (total === 0 ? 1 : 1 - (frame.slotsFree[at] ?? 0) / total);
}

/** Of a pool beyond the limit the price counts more. */
export function priceFactorOf(frame: DecisionFrame, at: number): number {
  return frame.codes[at] === OVER_LIMIT ? SPARE_PRICE_FACTOR : 1;
}

function findCode(frame: DecisionFrame, at: number): number {
  const flags = frame.flags[at] ?? 0;
  if ((flags & REACHABLE) === 0) return UNREACHABLE;
  if ((flags & DRAINING) !== 0) return IS_DRAINING;
  // The session's own pool has its slot already, and is closed to new ones only.
  const isCurrent = at === frame.currentAt;
  if ((flags & CORDONED) !== 0 && !isCurrent) return IS_CORDONED;
  if (frame.unmet[at] !== 0) return LABEL_CONSTRAINT;
  if ((frame.rttMs[at] ?? 0) > rttLimitMsOf(frame, at)) return OVER_LIMIT;
  return isCurrent ? FITS : findCapacityCode(frame, at);
}

function findCapacityCode(frame: DecisionFrame, at: number): number {
  const free = frame.slotsFree[at] ?? 0;
  if (free < 1) return NO_FREE_SLOT;
  // Taking one slot has to leave the reserve free.
  return free - 1 < frame.capacityReserveRatio * (frame.slotsTotal[at] ?? 0) ? CAPACITY_RESERVE : FITS;
}

function scoreMsOf(frame: DecisionFrame, at: number, priceFactor: number): number {
  const stickinessMs = at === frame.currentAt ? 0 - frame.stickinessMs : 0;
  const nearMs = (frame.rttMs[at] ?? 0) + priceFactor * (frame.priceMs[at] ?? 0);
  return nearMs + fillMsOf(frame, at) + (frame.preferenceMs[at] ?? 0) + stickinessMs + (frame.bundleMs[at] ?? 0);
}

function hasRoom(frame: DecisionFrame, at: number, code: number): boolean {
  return code === OVER_LIMIT && (at === frame.currentAt || findCapacityCode(frame, at) === FITS);
}

function findBestAchievableMs(frame: DecisionFrame): number {
  let best = Number.NaN;
  for (let at = 0; at < frame.count; at += 1) {
    if (!isPermitted(frame.codes[at] ?? 0)) continue;
    const pathMs = (frame.rttMs[at] ?? 0) + fixedMs(frame, frame.renderEncodeMs[at] ?? 0);
    if (!(pathMs >= best)) best = pathMs;
  }
  return best;
}

/** It fits, or what it lacks is nearness or room. */
function isPermitted(code: number): boolean {
  return code === FITS || code >= OVER_LIMIT;
}
