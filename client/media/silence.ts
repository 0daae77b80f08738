/** Decides that an agent is lost: poses leave and no frame comes. Pure. */

/** Twenty frames at 30 Hz: no network that is worth staying on holds all of them back. */
export const SILENCE_MS_MAX = 700;
/** Poses come with every frame of the display; a hidden page sends none, and is then sent none. */
export const POSES_PAUSED_MS = 250;

export interface PoseFlow {
  /** When poses began to flow after a pause; by the monotonic clock. */
  readonly sinceMs: number;
  readonly lastMs: number;
}

export function advancePoseFlow(flow: PoseFlow | undefined, nowMs: number): PoseFlow {
  const goesOn = flow !== undefined && nowMs - flow.lastMs <= POSES_PAUSED_MS;
  return { sinceMs: goesOn ? flow.sinceMs : nowMs, lastMs: nowMs };
}

export function isSilent(flow: PoseFlow | undefined, lastFrameMs: number, nowMs: number): boolean {
  if (flow === undefined || nowMs - flow.lastMs > POSES_PAUSED_MS) return false;
  return nowMs - Math.max(flow.sinceMs, lastFrameMs) > SILENCE_MS_MAX;
}
