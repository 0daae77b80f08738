/** How long each step of a session may take, patient at first and hurried while frames are missing. Pure. */

/** Frames are to be back within this after an agent died, the silence that shows it included. */
export const RECOVERY_MS_MAX = 3000;

export interface StepDeadlines {
  /** For an edge to show that it lives: one that does not is given up, whatever it was asked. */
  readonly pingMs: number;
  /** For all edges of a pool together, until pictures come. */
  readonly connectMs: number;
  readonly renewMs: number;
  /** Steering and probes together; in a hurry enough for edges up to 40 ms away, five round trips each. */
  readonly measureMs: number;
}

/** An agent may have to start a process for the session first. */
const PATIENT: StepDeadlines = { pingMs: 2500, connectMs: 10_000, renewMs: 5000, measureMs: 1500 };
/**
 * What is dead is left after half a second; what lives is waited for, since asking elsewhere takes as long as it does.
 * Silence (700), a dead edge (500) and a renewal (two round trips) leave more than a second to connect elsewhere.
 */
const HURRIED: StepDeadlines = { pingMs: 500, connectMs: 3000, renewMs: 800, measureMs: 250 };

/** Once the time to recover is over anyway, hurry would only cut off those who would have answered. */
export function deadlinesFor(lostAtMs: number | undefined, nowMs: number): StepDeadlines {
  return lostAtMs !== undefined && nowMs - lostAtMs < RECOVERY_MS_MAX ? HURRIED : PATIENT;
}

/** 1, 2, 4, 8, 16 s at most, and at least half of it. */
const BACKOFF_MS_FIRST = 1000;
const BACKOFF_DOUBLINGS_MAX = 4;

/** `ratio` is random, 0..1: clients that failed together do not come back together. */
export function backoffMs(failures: number, ratio: number): number {
  const fullMs = BACKOFF_MS_FIRST * 2 ** Math.min(Math.max(0, failures - 1), BACKOFF_DOUBLINGS_MAX);
  return fullMs * (0.5 + ratio / 2);
}
