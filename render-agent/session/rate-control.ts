/**
 * Decides bit rate, resolution and frame rate by a latency target: frames are to take no longer on the way than the best
 * did, but for a share of a frame's period. Delay that grows lowers the bit rate at once, then the resolution, then the
 * rate; what is not needed is restored slowly. Pure: what was measured and the clock's reading are arguments.
 */
import type { FrameReport } from "#contracts/media/control.ts";

/** A frame may take this much of a period longer than the fastest: its own transmission, and what waits before it. */
const TARGET_RATIO = 0.25;
/** Below it the clocks and timers of both ends are the measurement. */
const TARGET_MS_FLOOR = 8;
/** Of the target: between this and the whole the rate is right, and stays. */
const RELAXED_RATIO = 0.6;
/** Of the target, in one report: so much is not waited for to repeat, and is a queue rather than a frame's own size. */
const STEEP_RATIO = 1.6;
/** What a lower rate is to be: at the first sign; then of what arrived, less where so much waits that it would take seconds. */
const DECREASE = { first: 0.85, deep: 0.25, least: 0.5, most: 0.92 };
const DEEP_MS = 150;
const DROPPED_RATIO = 0.7;
/** On a way without delay it doubles in a second, and at first in three quarters of one; the nearer to the target, the slower. */
const GROWTH_PER_SECOND = 1;
const FIRST_GROWTH_PER_SECOND = 1.5;
/** Back to what the way carried within the last minute, once next to nothing stands in the way again. */
const RETURN = { perSecond: 1.5, beginsBelow: 0.35, relaxedRatio: 0.95, memoryMs: 60_000 };
/** What was sent for so long since the last decrease, the way carries. */
const PROVEN_MS = 2_000;
const EXCESS_SMOOTHING = 0.4;
const GROWTH_MS_MAX = 250;
/** After a decrease the way is given time to empty. */
const HOLD_MS = 500;
/** Loss that is repaired is none; one frame in ten is the network's word for less (RFC 8836 section 2 asks for it). */
const LOSS_RATIO = 0.1;
const LOSS_SMOOTHING = 0.1;
/** What the fastest frame took is forgotten after this, and looked for again before, where something is in the way. */
const BASE_MS_MAX = 30_000;
const BASE_RENEWAL_MS = 20_000;
/** A queue that is leaving is left to. */
const FALLING_RATIO = 0.85;
const DIP_MS = 300;
const DIP_RATIO = 0.5;
/** A quarter of the bits and the same delay: the way itself is longer now, or others fill it. A queue leaves, or grows. */
const UNHELPED = { bits: 0.25, delayLeast: 0.8, delayMost: 1.2 };
/** Of the most: the first frames show what an emptier way takes. */
const FIRST_RATIO = 0.25;
/** A picture that moves can be made out at it. */
export const BITS_PER_SECOND_FLOOR = 150_000;

/** In the order that quality is given up. */
export const STEPS = [
  { scaleRatio: 1, rateRatio: 1 },
  { scaleRatio: 0.75, rateRatio: 1 },
  { scaleRatio: 0.5, rateRatio: 1 },
  { scaleRatio: 0.5, rateRatio: 0.5 },
] as const;
/** A step up has room to spare for so long, or it would be taken back. */
const STEP_UP = { ratio: 2, ms: 1_000 };

export interface RateBounds {
  readonly bitsPerSecondMax: number;
  readonly pixels: number;
  readonly frameRateHz: number;
  /** Below it a picture of this codec falls apart: fewer pixels look better. */
  readonly bitsPerPixelMin: number;
}

export interface Quality {
  readonly bitsPerSecond: number;
  readonly scaleRatio: number;
  readonly frameRateHz: number;
}

export type RateEvent =
  | { readonly kind: "report"; readonly report: FrameReport }
  /** A frame was not sent: too much waited before it. */
  | { readonly kind: "dropped" }
  /** Frames leave, and for a while nothing was said of any. */
  | { readonly kind: "unanswered" }
  /** A client that never reports: it gets what such clients always got. */
  | { readonly kind: "unreported" };

export interface RateState {
  readonly phase: "starting" | "full" | "growing" | "returning" | "steady" | "lowered" | "dipping";
  readonly bitsPerSecond: number;
  readonly step: number;
  readonly roomSinceMs: number | undefined;
  /** What the fastest frame took, and when it did. */
  readonly baseMs: number;
  readonly baseAtMs: number;
  readonly excessMs: number;
  readonly smoothedMs: number;
  /** Far over the target in the last report: once may be a process that stood still, twice is the way. */
  readonly wasSteep: boolean;
  readonly lossRatio: number;
  /** When delay began to lower the rate; `undefined` since it grew again. */
  readonly loweredFrom: Pick<RateState, "bitsPerSecond" | "excessMs"> | undefined;
  /** The most that the way was seen to carry lately. */
  readonly proven: { readonly bitsPerSecond: number; readonly atMs: number };
  readonly changedAtMs: number;
  readonly reportedAtMs: number;
  /** Newest that was reported, and the newest sent when the rate was lowered: what is reported up to it is of the past. */
  readonly reportedFrame: number;
  readonly loweredAtFrame: number;
}

export interface RateMoment {
  readonly nowMs: number;
  /** The newest that was sent. */
  readonly sentFrame: number;
}

export function firstRate({ bitsPerSecondMax }: RateBounds): RateState {
  return {
    phase: "starting",
    bitsPerSecond: Math.max(BITS_PER_SECOND_FLOOR, bitsPerSecondMax * FIRST_RATIO),
    step: 0,
    roomSinceMs: undefined,
    baseMs: Number.POSITIVE_INFINITY,
    baseAtMs: Number.NEGATIVE_INFINITY,
    excessMs: 0,
    smoothedMs: 0,
    wasSteep: false,
    lossRatio: 0,
    loweredFrom: undefined,
    proven: { bitsPerSecond: 0, atMs: Number.NEGATIVE_INFINITY },
    changedAtMs: Number.NEGATIVE_INFINITY,
    reportedAtMs: Number.NEGATIVE_INFINITY,
    reportedFrame: 0,
    loweredAtFrame: 0,
  };
}

export function qualityOf({ bitsPerSecond, step }: RateState, { frameRateHz }: RateBounds): Quality {
  const { scaleRatio, rateRatio } = STEPS[step] ?? STEPS[0];
  return { bitsPerSecond: Math.round(bitsPerSecond), scaleRatio, frameRateHz: frameRateHz * rateRatio };
}

/** How much longer than the fastest a frame may take. */
export function targetMsOf({ frameRateHz }: Pick<Quality, "frameRateHz">): number {
  return Math.max(TARGET_MS_FLOOR, (1000 / frameRateHz) * TARGET_RATIO);
}

export function nextRate(state: RateState, event: RateEvent, moment: RateMoment, bounds: RateBounds): RateState {
  return withStep(bounded(judge(state, event, moment, bounds), bounds), moment.nowMs, bounds);
}

function judge(state: RateState, event: RateEvent, moment: RateMoment, bounds: RateBounds): RateState {
  switch (event.kind) {
    case "report":
      return judgeReport(state, event.report, moment, bounds);
    case "unreported":
      return { ...state, phase: "full", bitsPerSecond: bounds.bitsPerSecondMax };
    default:
      return judgeStall(state, event.kind, moment);
  }
}

function judgeStall(state: RateState, kind: "dropped" | "unanswered", moment: RateMoment): RateState {
  if (moment.nowMs - state.changedAtMs < HOLD_MS && state.phase === "lowered") return state;
  return lowered(state, state.bitsPerSecond * (kind === "dropped" ? DROPPED_RATIO : DECREASE.least), moment);
}

function judgeReport(before: RateState, report: FrameReport, moment: RateMoment, bounds: RateBounds): RateState {
  const { nowMs } = moment;
  const targetMs = targetMsOf(qualityOf(before, bounds));
  const measured = withMeasurement(before, report, nowMs);
  const isSteep = measured.excessMs > targetMs * STEEP_RATIO && measured.excessMs > before.excessMs * FALLING_RATIO;
  const state = { ...measured, wasSteep: isSteep };
  // Frames of before the last decrease say nothing of it.
  const isOfThePast = before.reportedFrame < state.loweredAtFrame;
  if (state.phase === "dipping") return nowMs - state.changedAtMs < DIP_MS ? state : undip(state, nowMs);
  const isOver = isSteep || state.smoothedMs > targetMs;
  if (isSteep && !before.wasSteep) {
    const ratio = state.excessMs > DEEP_MS ? DECREASE.least : DECREASE.first;
    const { bitsPerSecond, loweredAtFrame } = lowered(state, state.bitsPerSecond * ratio, moment);
    return { ...state, bitsPerSecond, loweredAtFrame, phase: "steady", smoothedMs: before.smoothedMs };
  }
  if (isSteep && isOfThePast && state.excessMs > DEEP_MS) return lowerToArrived(state, report, moment, targetMs);
  if (isOver && !isOfThePast) return lowerByDelay(state, { report, isSteep, targetMs }, moment);
  if (state.lossRatio > LOSS_RATIO && !isOfThePast && nowMs - state.changedAtMs > HOLD_MS) {
    return { ...lowered(state, state.bitsPerSecond * (1 - state.lossRatio / 2), moment), lossRatio: 0 };
  }
  return isOver
    ? renewBase({ ...state, phase: "steady" }, nowMs)
    : grown(state, { grownMs: Math.min(GROWTH_MS_MAX, nowMs - before.reportedAtMs), targetMs }, nowMs);
}

interface Growth {
  readonly grownMs: number;
  readonly targetMs: number;
}

/** The nearer to the target, the slower; and no further than what the way carried before, where that is known. */
function grown(before: RateState, { grownMs, targetMs }: Growth, nowMs: number): RateState {
  if (nowMs - before.changedAtMs < HOLD_MS && before.phase === "lowered") return before;
  const state = { ...before, proven: provenBy(before, nowMs) };
  const mostBack = state.proven.bitsPerSecond;
  const isBelow = state.bitsPerSecond < mostBack;
  const isReturning = isBelow && (state.phase === "returning" || state.smoothedMs < targetMs * RETURN.beginsBelow);
  const spareRatio = 1 - state.smoothedMs / (targetMs * (isReturning ? RETURN.relaxedRatio : RELAXED_RATIO));
  if (spareRatio <= 0) return renewBase({ ...state, phase: "steady" }, nowMs);
  const isFirst = state.phase === "starting";
  const perSecond = isFirst ? FIRST_GROWTH_PER_SECOND : isReturning ? RETURN.perSecond : GROWTH_PER_SECOND;
  const bitsPerSecond = state.bitsPerSecond * (1 + perSecond * spareRatio) ** (grownMs / 1000);
  if (isReturning)
    return { ...state, bitsPerSecond: Math.min(mostBack, bitsPerSecond), phase: "returning", loweredFrom: undefined };
  return { ...state, bitsPerSecond, phase: isFirst ? "starting" : "growing", loweredFrom: undefined };
}

function provenBy({ proven, bitsPerSecond, changedAtMs }: RateState, nowMs: number): RateState["proven"] {
  const isNew = bitsPerSecond >= proven.bitsPerSecond || nowMs - proven.atMs > RETURN.memoryMs;
  return isNew && nowMs - changedAtMs > PROVEN_MS ? { bitsPerSecond, atMs: nowMs } : proven;
}

/** The least of a report is what stands in the way; the rest is jitter. */
function withMeasurement(state: RateState, report: FrameReport, nowMs: number): RateState {
  const isFaster = report.networkMsMin <= state.baseMs || nowMs - state.baseAtMs > BASE_MS_MAX;
  const baseMs = isFaster ? report.networkMsMin : state.baseMs;
  const excessMs = report.networkMsMin - baseMs;
  const expected = state.reportedFrame === 0 ? report.framesArrived : report.newestFrame - state.reportedFrame;
  const missedRatio = expected > 0 ? Math.max(0, 1 - report.framesArrived / expected) : 0;
  return {
    ...state,
    baseMs,
    baseAtMs: isFaster ? nowMs : state.baseAtMs,
    excessMs,
    smoothedMs: state.smoothedMs + (excessMs - state.smoothedMs) * EXCESS_SMOOTHING,
    lossRatio: state.lossRatio + (missedRatio - state.lossRatio) * LOSS_SMOOTHING,
    reportedAtMs: nowMs,
    reportedFrame: Math.max(state.reportedFrame, report.newestFrame),
  };
}

interface Overrun {
  readonly report: FrameReport;
  readonly isSteep: boolean;
  readonly targetMs: number;
}

/** Of what arrived: where a queue has built up, that is what the way carries. */
function lowerByDelay(state: RateState, { report, isSteep, targetMs }: Overrun, moment: RateMoment): RateState {
  const { bitsPerSecond, excessMs } = state;
  const loweredFrom = state.loweredFrom ?? { bitsPerSecond, excessMs };
  const isLower = bitsPerSecond <= loweredFrom.bitsPerSecond * UNHELPED.bits;
  const delayRatio = excessMs / loweredFrom.excessMs;
  if (isLower && delayRatio > UNHELPED.delayLeast && delayRatio < UNHELPED.delayMost) {
    const rebased = { baseMs: state.baseMs + excessMs, baseAtMs: moment.nowMs, excessMs: 0, smoothedMs: 0 };
    return { ...state, ...rebased, loweredFrom: undefined };
  }
  const arrived = isSteep ? Math.min(bitsPerSecond, arrivedBitsPerSecond(report)) : bitsPerSecond;
  const next = lowered(state, arrived * decreaseRatio(isSteep ? excessMs : state.smoothedMs, targetMs), moment);
  return { ...next, smoothedMs: targetMs * RELAXED_RATIO, loweredFrom };
}

/** What arrives through a queue is what the way carries, whenever it was sent: said again, it lowers no further. */
function lowerToArrived(state: RateState, report: FrameReport, moment: RateMoment, targetMs: number): RateState {
  const bitsPerSecond = arrivedBitsPerSecond(report) * decreaseRatio(state.excessMs, targetMs);
  return Math.max(BITS_PER_SECOND_FLOOR, bitsPerSecond) < state.bitsPerSecond
    ? lowered(state, bitsPerSecond, moment)
    : state;
}

function arrivedBitsPerSecond({ bytes, spanMs }: FrameReport): number {
  return spanMs > 0 ? (bytes * 8 * 1000) / spanMs : Number.POSITIVE_INFINITY;
}

function decreaseRatio(delayMs: number, targetMs: number): number {
  const least = delayMs > DEEP_MS ? DECREASE.deep : DECREASE.least;
  return Math.min(DECREASE.most, Math.max(least, targetMs / delayMs));
}

function lowered(state: RateState, bitsPerSecond: number, { nowMs, sentFrame }: RateMoment): RateState {
  return { ...state, phase: "lowered", bitsPerSecond, changedAtMs: nowMs, loweredAtFrame: sentFrame };
}

/** What stands in the way for long would be taken for the way itself: for a moment less is sent, and it is seen. */
function renewBase(state: RateState, nowMs: number): RateState {
  if (nowMs - state.baseAtMs < BASE_RENEWAL_MS || nowMs - state.changedAtMs < BASE_RENEWAL_MS) return state;
  return { ...state, phase: "dipping", bitsPerSecond: state.bitsPerSecond * DIP_RATIO, changedAtMs: nowMs };
}

function undip(state: RateState, nowMs: number): RateState {
  const bitsPerSecond = state.bitsPerSecond / DIP_RATIO;
  return { ...state, phase: "steady", bitsPerSecond, changedAtMs: nowMs };
}

function bounded(state: RateState, { bitsPerSecondMax }: RateBounds): RateState {
  const bitsPerSecond = Math.min(bitsPerSecondMax, Math.max(BITS_PER_SECOND_FLOOR, state.bitsPerSecond));
  const isGrowing = state.phase === "growing" || state.phase === "starting";
  const isFull = bitsPerSecond >= bitsPerSecondMax && isGrowing;
  return { ...state, bitsPerSecond, ...(isFull ? { phase: "full" as const } : {}) };
}

/** Down at once, as far as need be; up one at a time, when there is room for it and has been. */
function withStep(state: RateState, nowMs: number, bounds: RateBounds): RateState {
  if (state.phase === "dipping") return state;
  const bits = state.bitsPerSecond;
  if (bits < bitsNeeded(state.step, bounds) && state.step < STEPS.length - 1) {
    return withStep({ ...state, step: state.step + 1, roomSinceMs: undefined }, nowMs, bounds);
  }
  const hasRoom =
    state.step > 0 && bits >= Math.min(bounds.bitsPerSecondMax, bitsNeeded(state.step - 1, bounds) * STEP_UP.ratio);
  if (!hasRoom) return { ...state, roomSinceMs: undefined };
  const roomSinceMs = state.roomSinceMs ?? nowMs;
  if (nowMs - roomSinceMs < STEP_UP.ms) return { ...state, roomSinceMs };
  return { ...state, step: state.step - 1, roomSinceMs: undefined };
}

function bitsNeeded(step: number, { pixels, frameRateHz, bitsPerPixelMin }: RateBounds): number {
  const { scaleRatio, rateRatio } = STEPS[step] ?? STEPS[0];
  return pixels * scaleRatio ** 2 * frameRateHz * rateRatio * bitsPerPixelMin;
}
