/** Decides that an agent is lost: poses leave and no frame comes. Pure. */

/** Eight frames and more: no network that is worth staying on holds all of them back. */
export const SILENCE_FRAMES = 8;
/** At 27 Hz and more it is this; a slow renderer is not a dead one. */
export const SILENCE_MS_MIN = 300;
export const SILENCE_MS_MAX = 700;
/** After an edge said that nobody holds the session: no network that is worth staying on holds these back just then. */
export const SUSPECT_FRAMES = 3;
/** A page that is busy for some frames of its display does not look dead. */
export const SUSPECT_SILENCE_MS_MIN = 60;
/** Two frames at 20 Hz would have come. */
export const SUSPECT_SILENCE_MS_MAX = 150;
/** What was on its way when the agent died has come by then. */
export const IN_FLIGHT_MS = 50;
/** Weight of a new interval in the smoothed one: a second of frames. */
const INTERVAL_WEIGHT = 1 / 32;
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

export interface FrameFlow {
  readonly lastMs: number;
  /** Smoothed; undefined until two have come without a pause. */
  readonly intervalMs: number | undefined;
}

export const NO_FRAMES: FrameFlow = { lastMs: 0, intervalMs: undefined };

export function advanceFrameFlow({ lastMs, intervalMs }: FrameFlow, nowMs: number): FrameFlow {
  const sinceMs = nowMs - lastMs;
  if (lastMs === 0 || sinceMs > SILENCE_MS_MAX) return { lastMs: nowMs, intervalMs };
  const smoothedMs = intervalMs === undefined ? sinceMs : intervalMs + (sinceMs - intervalMs) * INTERVAL_WEIGHT;
  return { lastMs: nowMs, intervalMs: smoothedMs };
}

/** How long frames may stay away that have come so. */
export function silenceMsMax({ intervalMs }: FrameFlow): number {
  if (intervalMs === undefined) return SILENCE_MS_MAX;
  return Math.min(SILENCE_MS_MAX, Math.max(SILENCE_MS_MIN, SILENCE_FRAMES * intervalMs));
}

/** Since when frames that are asked for stay away; `undefined` while no poses leave. */
export function missedSinceMs(flow: PoseFlow | undefined, frames: FrameFlow, nowMs: number): number | undefined {
  if (flow === undefined || nowMs - flow.lastMs > POSES_PAUSED_MS) return undefined;
  return Math.max(flow.sinceMs, frames.lastMs);
}

export function isSilent(flow: PoseFlow | undefined, frames: FrameFlow, nowMs: number): boolean {
  const sinceMs = missedSinceMs(flow, frames, nowMs);
  return sinceMs !== undefined && nowMs - sinceMs > silenceMsMax(frames);
}

/** How long frames that have come so stay away before an edge is believed that nobody holds the session. */
export function suspectSilenceMsMax({ intervalMs }: FrameFlow): number {
  if (intervalMs === undefined) return SUSPECT_SILENCE_MS_MAX;
  return Math.min(SUSPECT_SILENCE_MS_MAX, Math.max(SUSPECT_SILENCE_MS_MIN, SUSPECT_FRAMES * intervalMs));
}
