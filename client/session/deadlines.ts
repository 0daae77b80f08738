/** How long each step of a session may take, patient at first and hurried while frames are missing. Pure. */

import { SILENCE_MS_MAX } from "../media/silence.ts";

/** Frames are to be back within this after an agent died, the silence that shows it included. */
export const RECOVERY_MS_MAX = 3000;

export interface StepDeadlines {
  /** For all edges of a pool together, until media are open. */
  readonly connectMs: number;
  readonly renewMs: number;
  readonly measureMs: number;
}

/** An agent may have to start a process for the session first. */
const PATIENT: StepDeadlines = { connectMs: 10_000, renewMs: 5000, measureMs: 1500 };
/** Even after a resume that hangs (with the silence before it 1,700 ms) a renewal and a connection fit that take half of theirs. */
const HURRIED: StepDeadlines = { connectMs: 1000, renewMs: 800, measureMs: 400 };

/** Once the time to recover is over anyway, hurry would only cut off those who would have answered. */
export function deadlinesFor(lostAtMs: number | undefined, nowMs: number): StepDeadlines {
  return lostAtMs !== undefined && nowMs - lostAtMs < RECOVERY_MS_MAX ? HURRIED : PATIENT;
}

/** A connection by a placement is what a recovery ends with: what was quick before it leaves it more time. */
export function lastConnectMs(lostAtMs: number | undefined, nowMs: number): number {
  const { connectMs } = deadlinesFor(lostAtMs, nowMs);
  if (lostAtMs === undefined) return connectMs;
  return Math.max(connectMs, RECOVERY_MS_MAX - SILENCE_MS_MAX - (nowMs - lostAtMs));
}

/** 1, 2, 4, 8, 16 s at most, and at least half of it. */
const BACKOFF_MS_FIRST = 1000;
const BACKOFF_DOUBLINGS_MAX = 4;

/** `ratio` is random, 0..1: clients that failed together do not come back together. */
export function backoffMs(failures: number, ratio: number): number {
  const fullMs = BACKOFF_MS_FIRST * 2 ** Math.min(Math.max(0, failures - 1), BACKOFF_DOUBLINGS_MAX);
  return fullMs * (0.5 + ratio / 2);
}
