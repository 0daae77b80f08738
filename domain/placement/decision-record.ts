/**
 * A placement decision as packed bytes: all it was made from, every filter code and score, its outcome and two
 * counterfactuals. Pure. `replayDecision` runs the same core on a record's inputs.
 *
 * Little-endian; a header, then a row for each candidate in the order of the pools' names. Numbers are whole doubles,
 * so that a replay gives the same bits; the terms of a score are its row's columns (`explain.ts` prints them).
 */
import { assert } from "../assert.ts";
import { NO_FIT_ACTIONS } from "../policy/placement-policy.ts";
import { FILTER_RULES } from "./candidate.ts";
import { decidePlacement } from "./decision.ts";
import { CANDIDATES_MAX, type DecisionFrame, NOWHERE, OUTCOME_STATES } from "./decision-frame.ts";

/** Grows with every change of the bytes or of what the core makes of them. */
export const RECORD_VERSION = 3;
const HEADER_BYTES = 84;
const ROW_BYTES = 70;
const AT_POOL = 52;
export const RECORD_BYTES_MAX = HEADER_BYTES + CANDIDATES_MAX * ROW_BYTES;

/** From `HEADER_BYTES` to `RECORD_BYTES_MAX`. */
export function recordBytesOf(candidates: number): number {
  return HEADER_BYTES + candidates * ROW_BYTES;
}

/** Writes the decided frame at `offset` and answers where the record ends. The view has room for it. */
export function encodeDecision(frame: DecisionFrame, view: DataView, offset: number): number {
  const { count } = frame;
  view.setUint8(offset, RECORD_VERSION);
  view.setUint8(offset + 1, count);
  view.setUint8(offset + 2, NO_FIT_ACTIONS.indexOf(frame.onNoFit));
  view.setUint8(offset + 3, OUTCOME_STATES.indexOf(frame.state));
  view.setUint8(offset + 4, frame.currentAt - NOWHERE);
  view.setUint8(offset + 5, frame.chosenAt - NOWHERE);
  view.setUint8(offset + 6, frame.nearestAt - NOWHERE);
  view.setUint8(offset + 7, frame.greedyAt - NOWHERE);
  view.setUint32(offset + 8, frame.priceVersion, true);
  view.setFloat64(offset + 12, frame.policyRevision, true);
  view.setFloat64(offset + 20, frame.budgetMs, true);
  view.setFloat64(offset + 28, frame.decodeMs, true);
  view.setFloat64(offset + 36, frame.jitterMs, true);
  view.setFloat64(offset + 44, frame.serialisationMs, true);
  view.setFloat64(offset + 52, frame.capacityReserveRatio, true);
  view.setFloat64(offset + 60, frame.stickinessMs, true);
  view.setFloat64(offset + 68, frame.marginMs, true);
  view.setFloat64(offset + 76, frame.bestAchievableMs, true);
  let row = offset + HEADER_BYTES;
  for (let at = 0; at < count; at += 1) {
    encodeRow(frame, at, view, row);
    row += ROW_BYTES;
  }
  return row;
}

function encodeRow(frame: DecisionFrame, at: number, view: DataView, row: number): void {
  view.setFloat64(row, frame.rttMs[at] ?? 0, true);
  view.setFloat64(row + 8, frame.renderEncodeMs[at] ?? 0, true);
  view.setFloat64(row + 16, frame.priceMs[at] ?? 0, true);
  view.setFloat64(row + 24, frame.preferenceMs[at] ?? 0, true);
  view.setFloat64(row + 32, frame.scoresMs[at] ?? 0, true);
  view.setFloat32(row + 40, frame.geographyMs[at] ?? 0, true);
  view.setUint32(row + 44, frame.slotsTotal[at] ?? 0, true);
  view.setUint32(row + 48, frame.slotsFree[at] ?? 0, true);
  view.setUint16(row + AT_POOL, frame.pools[at] ?? 0, true);
  view.setUint16(row + 54, frame.unmet[at] ?? 0, true);
  view.setUint8(row + 56, frame.flags[at] ?? 0);
  view.setUint8(row + 57, frame.codes[at] ?? 0);
  view.setFloat32(row + 58, frame.bundleMs[at] ?? 0, true);
  view.setFloat32(row + 62, frame.rttErrorMs[at] ?? Number.NaN, true);
  view.setFloat32(row + 66, frame.expectedSessions[at] ?? 0, true);
}

/** A record of its own. */
export function recordOf(frame: DecisionFrame): Uint8Array {
  const record = new Uint8Array(recordBytesOf(frame.count));
  encodeDecision(frame, new DataView(record.buffer), 0);
  return record;
}

/** Each pool's id in a record, in its order. */
export function visitPools(view: DataView, offset: number, visit: (pool: number) => void): void {
  const end = offset + recordBytesOf(view.getUint8(offset + 1));
  for (let row = offset + HEADER_BYTES; row < end; row += ROW_BYTES) visit(view.getUint16(row + AT_POOL, true));
}

/** Fills the frame with what was asked and what was answered, and answers where the record ends. Only of bytes that `encodeDecision` wrote. */
export function decodeDecision(view: DataView, offset: number, frame: DecisionFrame): number {
  const onNoFit = NO_FIT_ACTIONS[view.getUint8(offset + 2)];
  const state = OUTCOME_STATES[view.getUint8(offset + 3)];
  const count = view.getUint8(offset + 1);
  const isOurs = view.getUint8(offset) === RECORD_VERSION && count <= CANDIDATES_MAX;
  assert(isOurs && onNoFit !== undefined && state !== undefined, "a decision's record is as it was written");
  frame.count = count;
  frame.onNoFit = onNoFit;
  frame.state = state;
  frame.currentAt = view.getUint8(offset + 4) + NOWHERE;
  frame.chosenAt = view.getUint8(offset + 5) + NOWHERE;
  frame.nearestAt = view.getUint8(offset + 6) + NOWHERE;
  frame.greedyAt = view.getUint8(offset + 7) + NOWHERE;
  frame.priceVersion = view.getUint32(offset + 8, true);
  frame.policyRevision = view.getFloat64(offset + 12, true);
  frame.budgetMs = view.getFloat64(offset + 20, true);
  frame.decodeMs = view.getFloat64(offset + 28, true);
  frame.jitterMs = view.getFloat64(offset + 36, true);
  frame.serialisationMs = view.getFloat64(offset + 44, true);
  frame.capacityReserveRatio = view.getFloat64(offset + 52, true);
  frame.stickinessMs = view.getFloat64(offset + 60, true);
  frame.marginMs = view.getFloat64(offset + 68, true);
  frame.bestAchievableMs = view.getFloat64(offset + 76, true);
  for (let at = 0; at < count; at += 1) decodeRow(frame, at, view, offset + HEADER_BYTES + at * ROW_BYTES);
  return offset + recordBytesOf(count);
}

function decodeRow(frame: DecisionFrame, at: number, view: DataView, row: number): void {
  const code = view.getUint8(row + 57);
  assert(code <= FILTER_RULES.length, "a record's filter code is of a rule");
  frame.rttMs[at] = view.getFloat64(row, true);
  frame.renderEncodeMs[at] = view.getFloat64(row + 8, true);
  frame.priceMs[at] = view.getFloat64(row + 16, true);
  frame.preferenceMs[at] = view.getFloat64(row + 24, true);
  frame.scoresMs[at] = view.getFloat64(row + 32, true);
  frame.geographyMs[at] = view.getFloat32(row + 40, true);
  frame.slotsTotal[at] = view.getUint32(row + 44, true);
  frame.slotsFree[at] = view.getUint32(row + 48, true);
  frame.pools[at] = view.getUint16(row + AT_POOL, true);
  frame.unmet[at] = view.getUint16(row + 54, true);
  frame.flags[at] = view.getUint8(row + 56);
  frame.codes[at] = code;
  frame.bundleMs[at] = view.getFloat32(row + 58, true);
  frame.rttErrorMs[at] = view.getFloat32(row + 62, true);
  frame.expectedSessions[at] = view.getFloat32(row + 66, true);
}

/** Decides again what the record was made from, whatever it says of the answer; the frame then holds it. Answers where the record ends. */
export function replayDecision(view: DataView, offset: number, frame: DecisionFrame): number {
  const end = decodeDecision(view, offset, frame);
  decidePlacement(frame);
  return end;
}
