/**
 * Why a pool did not get a session: the first rule that it failed, or its terms beside the chosen pool's, and what would
 * have to change for it to win. Pure. The last is found by the core itself, from the record with that one thing changed.
 */
import { assert } from "../assert.ts";
import { FILTER_RULES, type FilterRule } from "./candidate.ts";
import { AS_NEAR_MS, contentionOf, listContested } from "./contention.ts";
import { decidePlacement, rttLimitMsOf } from "./decision.ts";
import { CORDONED, DecisionFrame, DRAINING, NOWHERE, REACHABLE } from "./decision-frame.ts";
import { decodeDecision } from "./decision-record.ts";
import { describePool, describeRule, type RecordWords, termsOf } from "./explain.ts";

/** No score is nearer to another. */
const LEAST_MS = 1e-6;

export interface TermBeside {
  readonly term: string;
  readonly ms: number;
  readonly chosenMs: number;
}

export interface Beside {
  readonly pool: string;
  /** Negative where it is nearer, and the other one less contested. */
  readonly behindMs: number;
  readonly terms: readonly TermBeside[];
  /** Sessions expected for each free slot, where both were chosen among by it. */
  readonly contention: { readonly expected: number; readonly chosenExpected: number } | undefined;
}

export type WhyNot =
  /** The pool is no candidate of this record. */
  | { readonly kind: "absent" }
  | { readonly kind: "chosen"; readonly found: string }
  | {
      readonly kind: "not-chosen";
      /** Its line of the explanation. */
      readonly found: string;
      /** The first that it fails, and with which values; undefined where it fits. */
      readonly failed: { readonly rule: FilterRule; readonly reason: string } | undefined;
      /** Where both have a score: its terms and those of the chosen pool. */
      readonly beside: Beside | undefined;
      /** All of these together, in words. */
      readonly changes: readonly string[];
      /** What the core says of the session with those changes. */
      readonly result: string;
    };

export function explainWhyNot(record: Uint8Array, pool: string, words: RecordWords): WhyNot {
  const frame = new DecisionFrame();
  decodeDecision(new DataView(record.buffer, record.byteOffset, record.byteLength), 0, frame);
  const at = positionOf(frame, pool, words);
  if (at === NOWHERE) return { kind: "absent" };
  const found = describePool(frame, at, words);
  if (at === frame.chosenAt) return { kind: "chosen", found };
  const rule = FILTER_RULES[(frame.codes[at] ?? 0) - 1];
  const failed = rule === undefined ? undefined : { rule, reason: describeRule(rule, frame, at, words) };
  const beside = compareWithChosen(frame, at, words);
  return { kind: "not-chosen", found, failed, beside, ...findWhatItTakes(frame, at, words) };
}

function positionOf(frame: DecisionFrame, pool: string, words: RecordWords): number {
  for (let at = 0; at < frame.count; at += 1) if (words.poolName(frame.pools[at] ?? 0) === pool) return at;
  return NOWHERE;
}

function compareWithChosen(frame: DecisionFrame, at: number, words: RecordWords): Beside | undefined {
  const { chosenAt, scoresMs, pools } = frame;
  const behindMs = (scoresMs[at] ?? Number.NaN) - (scoresMs[chosenAt] ?? Number.NaN);
  if (chosenAt === NOWHERE || Number.isNaN(behindMs)) return undefined;
  const own = new Map(termsOf(frame, at).map(({ term, ms }) => [term, ms]));
  const chosen = new Map(termsOf(frame, chosenAt).map(({ term, ms }) => [term, ms]));
  // One that only one of them has counts nothing for the other.
  const terms = [...new Set([...own.keys(), ...chosen.keys()])].map((term) => {
    return { term, ms: own.get(term) ?? 0, chosenMs: chosen.get(term) ?? 0 };
  });
  const contention = listContested(frame).includes(at)
    ? { expected: contentionOf(frame, at), chosenExpected: contentionOf(frame, chosenAt) }
    : undefined;
  return { pool: words.poolName(pools[chosenAt] ?? 0), behindMs, terms, contention };
}

/** Changes the frame: one rule after the other is met, each by the least that does, until none is failed. */
function findWhatItTakes(frame: DecisionFrame, at: number, words: RecordWords) {
  const changes: string[] = [];
  for (let met = 0; met <= FILTER_RULES.length; met += 1) {
    decidePlacement(frame);
    const rule = FILTER_RULES[(frame.codes[at] ?? 0) - 1];
    if (rule === undefined) break;
    const change = meetRule(rule, frame, at, words);
    if (change === undefined) {
      const parts = `the other parts of the path take more than the budget of ${format(frame.budgetMs)} ms`;
      return { changes: [...changes, "another render class, device or tier"], result: `no RTT would do: ${parts}` };
    }
    changes.push(change);
  }
  if (frame.chosenAt === at) return { changes, result: "it would win" };
  const chosen = words.poolName(frame.pools[frame.chosenAt] ?? 0);
  changes.push(`an RTT, a price or a preference that is lower ${findLowering(frame, at)}`);
  return { changes, result: `it would win over ${chosen}` };
}

/**
 * By how much less the pool wins. What is chosen changes only where its score comes as near as another, passes it or
 * leaves it behind.
 */
function findLowering(frame: DecisionFrame, at: number): string {
  const before = frame.rttMs[at] ?? 0;
  const ownMs = frame.scoresMs[at] ?? 0;
  const steps = [...frame.scoresMs.subarray(0, frame.count)]
    .flatMap((scoreMs, other) => [
      { ms: ownMs - scoreMs - AS_NEAR_MS, isEnough: true },
      // Of two as good the first by name wins, which is the order of the candidates.
      { ms: ownMs - scoreMs, isEnough: at < other },
      { ms: ownMs - scoreMs + AS_NEAR_MS, isEnough: false },
    ])
    .filter(({ ms }) => ms > -LEAST_MS)
    .sort((a, b) => a.ms - b.ms);
  const least = steps.find(({ ms }) => {
    frame.rttMs[at] = before - ms - LEAST_MS;
    decidePlacement(frame);
    return frame.chosenAt === at;
  });
  assert(least !== undefined, "a pool that fits wins where all others are far enough behind");
  return least.isEnough ? `by ${format(least.ms)} ms` : `by more than ${format(least.ms)} ms`;
}

/** Undefined where nothing of the pool alone would do. */
function meetRule(rule: FilterRule, frame: DecisionFrame, at: number, words: RecordWords): string | undefined {
  const flags = frame.flags[at] ?? 0;
  switch (rule) {
    case "unreachable":
      frame.flags[at] = flags | REACHABLE;
      return "a node of it that is reached, that answers the client's probe and that has reported its slots";
    case "draining":
      frame.flags[at] = flags & ~DRAINING;
      return "the pool not draining";
    case "cordoned":
      frame.flags[at] = flags & ~CORDONED;
      return "the pool open to new sessions";
    case "label-constraint": {
      const unmet = words.constraints[(frame.unmet[at] ?? 0) - 1];
      frame.unmet[at] = 0;
      return `labels that meet the policy${unmet === undefined ? "" : `, ${unmet.label} for one`}`;
    }
    case "over-limit":
      return meetLimit(frame, at);
    case "no-free-slot":
    case "capacity-reserve":
      return freeSlots(frame, at);
  }
}

function meetLimit(frame: DecisionFrame, at: number): string | undefined {
  const limitMs = rttLimitMsOf(frame, at);
  if (limitMs < 0) return undefined;
  const byMs = (frame.rttMs[at] ?? 0) - limitMs;
  frame.rttMs[at] = limitMs;
  return `an RTT lower by ${format(byMs)} ms, or as much more budget`;
}

function freeSlots(frame: DecisionFrame, at: number): string {
  const before = frame.slotsFree[at] ?? 0;
  const needed = Math.ceil(1 + frame.capacityReserveRatio * (frame.slotsTotal[at] ?? 0));
  frame.slotsFree[at] = needed;
  // A pool that is smaller than what it would have to keep free is thought of as larger.
  frame.slotsTotal[at] = Math.max(frame.slotsTotal[at] ?? 0, needed);
  return `${needed - before} more free ${needed - before === 1 ? "slot" : "slots"}`;
}

function format(ms: number): string {
  return ms.toFixed(1);
}
