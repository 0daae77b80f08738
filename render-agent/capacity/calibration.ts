/** What a render class costs on this machine, from frames of so many sessions that ran at once, each at its rate. Pure. */
import { percentile } from "../session/frame-times.ts";
import type { RehearsedFrames } from "../session/rehearsal.ts";

/** From full detail down; software rendering pays for every vertex. */
export const DETAILS = [1, 0.5, 0.25, 0.12] as const;
/** Of the frame's period, for render and encode of a usual frame: more, and it is drawn with less detail. */
const DETAIL_RATIO = 0.6;
/** Two thirds of the strict budget of 30 ms: the last is for network and decoder. */
const FRAME_MS_MAX = 20;
/** Of the frames that are due in the time. */
const FRAMES_RATIO_MIN = 0.98;
/** Of all processors: for the agent, a spare that starts, what else runs on the node, and a scene's worst view. */
export const RESERVE_RATIO = 0.2;
/** Where software draws, who looks often sits at the same machine, and a browser that draws by software takes as much. */
export const RESERVE_RATIO_SOFTWARE = 0.5;
/** Sessions that run at once while it is measured, and so the most of a class. */
export const SESSIONS_MEASURED_MAX = 16;

export interface Calibration {
  readonly detail: number;
  /** Sessions of it at once that were seen to keep their frames within the limit. */
  readonly slots: number;
  /** Render and encode, alone. */
  readonly frameMsP95: number;
  /** Until a frame is whole at its receiver, if one session more than the slots ran: the best that it could have. */
  readonly overMsP95: number;
}

export interface Machine {
  readonly processors: number;
  readonly isSoftware: boolean;
}

export interface LevelOutcome {
  readonly sessions: number;
  readonly isHeld: boolean;
  /** Of the slowest session. */
  readonly frameMsP95: number;
  readonly renderEncodeMsP95: number;
  /** Of all processors. */
  readonly busyRatio: number;
}

/** Whether a lower level of detail is worth trying. By the median, which a neighbour's moment leaves alone. */
export function fitsPeriod(renderEncodeMs: readonly number[], frameRateHz: number): boolean {
  return percentile(renderEncodeMs, 0.5) <= (1000 / frameRateHz) * DETAIL_RATIO;
}

/** What a frame may take until it is whole at its receiver. One that takes a period has the next one's place. */
export function frameMsMax(frameRateHz: number): number {
  return Math.min(FRAME_MS_MAX, 1000 / frameRateHz);
}

/** Every session must have its frames, in time; the average would hide the one that starves. */
export function judgeLevel(level: readonly RehearsedFrames[], frameRateHz: number, machine: Machine): LevelOutcome {
  const frameMsP95 = Math.max(...level.map(({ framesMs }) => percentile(framesMs, 0.95)));
  const renderEncodeMsP95 = Math.max(...level.map(({ renderEncodeMs }) => percentile(renderEncodeMs, 0.95)));
  const busyRatio = level.reduce((sum, { cpuMs, windowMs }) => sum + cpuMs / windowMs, 0) / machine.processors;
  const hasAll = level.every(({ framesMs, windowMs }) => {
    return framesMs.length >= Math.floor((windowMs * frameRateHz * FRAMES_RATIO_MIN) / 1000);
  });
  const isHeld = hasAll && frameMsP95 <= frameMsMax(frameRateHz) && busyRatio <= busyRatioMax(machine);
  return { sessions: level.length, isHeld, frameMsP95, renderEncodeMsP95, busyRatio };
}

/** How many to try next: twice as many while they hold, then between what held and what did not. `undefined` when it is known. */
export function nextLevel(seen: readonly LevelOutcome[], sessionsMax: number, machine: Machine): number | undefined {
  const held = highestHeld(seen);
  const most = Math.min(sessionsMax, SESSIONS_MEASURED_MAX);
  if (seen.length === 0) return most < 1 ? undefined : 1;
  if (held === undefined) return undefined;
  // What they take of the processors says what more of them would: that need not be tried.
  const affordable = Math.floor((held.sessions * busyRatioMax(machine)) / Math.max(held.busyRatio, 1e-3));
  const missed = lowestMissed(seen)?.sessions;
  const wanted = missed === undefined ? held.sessions * 2 : Math.floor((held.sessions + missed) / 2);
  const next = Math.min(wanted, affordable, most);
  return next > held.sessions ? next : undefined;
}

function busyRatioMax({ isSoftware }: Machine): number {
  return 1 - (isSoftware ? RESERVE_RATIO_SOFTWARE : RESERVE_RATIO);
}

/** One always fits: slow is told, not hidden. */
export function calibrationOf(detail: number, seen: readonly LevelOutcome[]): Calibration {
  const [alone] = seen;
  const held = highestHeld(seen);
  const missed = lowestMissed(seen);
  const slots = Math.max(1, held?.sessions ?? 0);
  const isOneMore = missed !== undefined && missed.sessions === slots + 1;
  const slowest = (held ?? missed)?.frameMsP95 ?? 0;
  const overMsP95 = isOneMore ? missed.frameMsP95 : (slowest * (slots + 1)) / slots;
  return { detail, slots, frameMsP95: alone?.renderEncodeMsP95 ?? 0, overMsP95 };
}

function highestHeld(seen: readonly LevelOutcome[]): LevelOutcome | undefined {
  return seen.filter(({ isHeld }) => isHeld).toSorted((a, b) => b.sessions - a.sessions)[0];
}

function lowestMissed(seen: readonly LevelOutcome[]): LevelOutcome | undefined {
  return seen.filter(({ isHeld }) => !isHeld).toSorted((a, b) => a.sessions - b.sessions)[0];
}

export interface ClassSize {
  readonly eyeWidthPixels: number;
  readonly eyeHeightPixels: number;
  readonly frameRateHz: number;
}

/** For a class that there was no time for: by pixels and rate from one that was measured. */
export function estimateFrom(
  measured: { readonly size: ClassSize; readonly calibration: Calibration },
  size: ClassSize,
): Calibration {
  const { calibration } = measured;
  const pixels = pixelsOf(size) / pixelsOf(measured.size);
  const load = pixels * (size.frameRateHz / measured.size.frameRateHz);
  return {
    detail: calibration.detail,
    slots: Math.max(1, Math.floor(calibration.slots / load)),
    frameMsP95: calibration.frameMsP95 * pixels,
    overMsP95: calibration.overMsP95 * pixels,
  };
}

function pixelsOf({ eyeWidthPixels, eyeHeightPixels }: ClassSize): number {
  return eyeWidthPixels * eyeHeightPixels;
}
