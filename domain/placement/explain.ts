/** A placement decision's record as lines of text for a person: what it found, of which a session's outcome is made, and each pool. Pure. */
import type { LabelRequirement } from "../policy/placement-policy.ts";
import { FILTER_RULES, type FilterRule, RTT_SOURCES, type RttSource } from "./candidate.ts";
import { AS_NEAR_MS, contentionOf, listContested } from "./contention.ts";
import { fillMsOf, priceFactorOf, rttLimitMsOf } from "./decision.ts";
import { DecisionFrame, NOWHERE, SOURCE_SHIFT } from "./decision-frame.ts";
import { decodeDecision } from "./decision-record.ts";

/** What a record names by number. */
export interface RecordWords {
  poolName(id: number): string;
  /** Of the policy that applied. */
  readonly constraints: readonly LabelRequirement[];
}

export function explainPlacement(record: Uint8Array, words: RecordWords): string[] {
  const frame = frameOf(record);
  return [explainFound(frame, words), ...positionsOf(frame).map((at) => describePool(frame, at, words))];
}

/** By id, the pools of a record that could have been chosen within the limit, the one that was first, then by score. */
export function listFitting(record: Uint8Array): readonly { readonly pool: number; readonly slotsFree: number }[] {
  const frame = frameOf(record);
  const scoreOf = (at: number): number =>
    at === frame.chosenAt ? Number.NEGATIVE_INFINITY : (frame.scoresMs[at] ?? Number.NaN);
  return positionsOf(frame)
    .filter((at) => ruleOf(frame, at) === undefined)
    .toSorted((a, b) => scoreOf(a) - scoreOf(b))
    .map((at) => ({ pool: frame.pools[at] ?? 0, slotsFree: frame.slotsFree[at] ?? 0 }));
}

/** How each pool's limit comes about. */
export function explainLimits(record: Uint8Array, words: RecordWords): string[] {
  const frame = frameOf(record);
  const { budgetMs, decodeMs, jitterMs, serialisationMs } = frame;
  return positionsOf(frame).map((at) => {
    const renderEncode = `render+encode ${format(frame.renderEncodeMs[at])}`;
    const taken = `${renderEncode} - decode ${format(decodeMs)} - jitter ${format(jitterMs)}`;
    const limit = `limit of ${nameOf(frame, at, words)}: ${format(rttLimitMsOf(frame, at))}`;
    return `${limit} = budget ${format(budgetMs)} - ${taken} - serialisation ${format(serialisationMs)}`;
  });
}

/** Where two simpler rules would have sent the session. */
export function explainCounterfactuals(record: Uint8Array, words: RecordWords): string[] {
  const frame = frameOf(record);
  return [
    `nearest by geography: ${explainOther(frame, frame.nearestAt, words)}`,
    `lowest RTT with capacity: ${explainOther(frame, frame.greedyAt, words)}`,
  ];
}

/** What it was decided by. */
export function explainVersions(record: Uint8Array): string {
  const { policyRevision, priceVersion } = frameOf(record);
  return `by revision ${policyRevision} of the policy and version ${priceVersion} of the prices`;
}

/** Of the candidates whose distance is known; minus infinity where none is. */
export function farthestByGeographyMs(record: Uint8Array): number {
  const { geographyMs, count } = frameOf(record);
  return Math.max(...geographyMs.subarray(0, count).filter((ms) => !Number.isNaN(ms)));
}

function frameOf(record: Uint8Array): DecisionFrame {
  const frame = new DecisionFrame();
  decodeDecision(new DataView(record.buffer, record.byteOffset, record.byteLength), 0, frame);
  return frame;
}

function positionsOf({ count }: DecisionFrame): number[] {
  return Array.from({ length: count }, (_, at) => at);
}

function explainFound(frame: DecisionFrame, words: RecordWords): string {
  const { state, chosenAt, marginMs, bestAchievableMs } = frame;
  if (chosenAt === NOWHERE) {
    const best = explainBest(definedOf(bestAchievableMs));
    return Number.isNaN(bestAchievableMs) ? best : `no pool within the limit; ${best}`;
  }
  const where = state === "placed" ? "within the limit" : "spare beyond the limit";
  const priced = frame.priceVersion === 0 ? "" : `, by prices of version ${frame.priceVersion}`;
  const margin = `${explainMargin(definedOf(marginMs))}${explainContention(frame)}`;
  return `${where}: ${nameOf(frame, chosenAt, words)}, ${margin}${priced}`;
}

/** `undefined`: nothing else could be chosen. Negative: it is the least contested of those as near. */
export function explainMargin(marginMs: number | undefined): string {
  if (marginMs === undefined) return "no other to choose";
  return marginMs < 0 ? `${format(-marginMs)} ms behind the lowest score` : `ahead by ${format(marginMs)} ms`;
}

/** Nothing where scores alone decided. */
function explainContention(frame: DecisionFrame): string {
  const [chosenAt, nextAt] = listContested(frame);
  if (chosenAt === undefined || nextAt === undefined) return "";
  const values = `${format(contentionOf(frame, chosenAt))} beside ${format(contentionOf(frame, nextAt))}`;
  return `: of pools within ${AS_NEAR_MS} ms the fewest expected for each free slot (${values})`;
}

/** `undefined`: each pool fails a rule that is neither of distance nor of capacity. */
export function explainBest(bestAchievableMs: number | undefined): string {
  return bestAchievableMs === undefined ? "no pool may take it" : `best achievable ${format(bestAchievableMs)} ms`;
}

/** A record has `NaN` for what there is not. */
export function definedOf(ms: number): number | undefined {
  return Number.isNaN(ms) ? undefined : ms;
}

function explainOther(frame: DecisionFrame, at: number, words: RecordWords): string {
  if (at === NOWHERE) return "none";
  const rule = ruleOf(frame, at);
  const fails = rule === undefined ? "" : `, fails ${rule}`;
  const same = at === frame.chosenAt ? ", which is what was chosen" : "";
  return `${nameOf(frame, at, words)} at RTT ${format(frame.rttMs[at])} ms${fails}${same}`;
}

/** One candidate in a line. */
export function describePool(frame: DecisionFrame, at: number, words: RecordWords): string {
  const source = explainSource({
    source: RTT_SOURCES[(frame.flags[at] ?? 0) >> SOURCE_SHIFT] ?? "geography",
    errorMs: definedOf(frame.rttErrorMs[at] ?? Number.NaN),
    isPlaceKnown: !Number.isNaN(frame.geographyMs[at]),
  });
  const rtt = `RTT ${format(frame.rttMs[at])} ms (${source}), limit ${format(rttLimitMsOf(frame, at))} ms`;
  const rule = ruleOf(frame, at);
  const rejected = rule === undefined ? "" : `; fails ${rule}: ${describeRule(rule, frame, at, words)}`;
  const scoreMs = frame.scoresMs[at] ?? Number.NaN;
  const scored = Number.isNaN(scoreMs) ? "" : `; score ${format(scoreMs)} = ${explainTerms(frame, at)}`;
  const isContested = listContested(frame).includes(at);
  const contested = isContested ? `; ${format(contentionOf(frame, at))} expected for each free slot` : "";
  return `${nameOf(frame, at, words)}: ${rtt}${rejected}${scored}${contested}`;
}

export interface RttOrigin {
  readonly source: RttSource;
  /** Undefined where nobody says. */
  readonly errorMs: number | undefined;
  readonly isPlaceKnown: boolean;
}

/** What a round trip is known from. */
export function explainSource({ source, errorMs, isPlaceKnown }: RttOrigin): string {
  if (source !== "geography") return source;
  if (!isPlaceKnown) return "assumed: the client's place is unknown";
  return errorMs === undefined ? "distance model" : `distance model, ± ${format(errorMs)} ms`;
}

/** With the values by which the pool fails it. */
export function describeRule(rule: FilterRule, frame: DecisionFrame, at: number, { constraints }: RecordWords): string {
  const free = `${frame.slotsFree[at]} of ${frame.slotsTotal[at]} slots free`;
  switch (rule) {
    case "unreachable":
      return "no node of the pool can be reached";
    case "draining":
      return "the pool is draining";
    case "cordoned":
      return "the pool takes no new sessions";
    case "label-constraint":
      return explainConstraint(constraints[(frame.unmet[at] ?? 0) - 1]);
    case "over-limit":
      return `RTT ${format(frame.rttMs[at])} ms > limit ${format(rttLimitMsOf(frame, at))} ms`;
    case "no-free-slot":
      return free;
    case "capacity-reserve":
      return `${free}, the policy keeps ${format(frame.capacityReserveRatio * 100)} %`;
  }
}

/** Undefined where the policy's text of then is lost. */
function explainConstraint(unmet: LabelRequirement | undefined): string {
  if (unmet === undefined) return "a label that the policy demands does not hold";
  const values = unmet.values === undefined ? "" : ` [${unmet.values.join(", ")}]`;
  return `label ${unmet.label} ${unmet.operator}${values} does not hold`;
}

function explainTerms(frame: DecisionFrame, at: number): string {
  return termsOf(frame, at)
    .map(({ term, ms }) => `${term} ${format(ms)}`)
    .join(" + ");
}

/** Their sum is the score. */
export function termsOf(frame: DecisionFrame, at: number): readonly { readonly term: string; readonly ms: number }[] {
  const bundleMs = frame.bundleMs[at] ?? 0;
  return [
    { term: "rtt", ms: frame.rttMs[at] ?? 0 },
    { term: "price", ms: priceFactorOf(frame, at) * (frame.priceMs[at] ?? 0) },
    { term: "fill", ms: fillMsOf(frame, at) },
    { term: "preference", ms: frame.preferenceMs[at] ?? 0 },
    { term: "stickiness", ms: at === frame.currentAt ? 0 - frame.stickinessMs : 0 },
    ...(bundleMs === 0 ? [] : [{ term: "missing bundle", ms: bundleMs }]),
  ];
}

function ruleOf(frame: DecisionFrame, at: number): FilterRule | undefined {
  return FILTER_RULES[(frame.codes[at] ?? 0) - 1];
}

function nameOf(frame: DecisionFrame, at: number, words: RecordWords): string {
  return words.poolName(frame.pools[at] ?? 0);
}

function format(value = 0): string {
  return value.toFixed(1);
}
