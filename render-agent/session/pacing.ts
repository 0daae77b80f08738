/** When the next frame may start: the class's rate on average, with a pose that has just come. Pure. */

/**
 * Of a period: a pose that comes this early is rendered at once, so that jitter costs nothing. Below a half: of a
 * display that shows twice the class's rate every second pose is taken, not one or the other.
 */
const EARLY_RATIO = 0.4;
/** Of a period: a frame that is due waits so long for a pose that comes late, which is newer than the one that waits. */
const LATE_RATIO = 0.25;

export interface StartWindow {
  /** A pose that comes from then on starts the frame at once. */
  readonly fromMs: number;
  /** By then the newest starts it, however long it has waited. */
  readonly untilMs: number;
}

/** `dueMs` is what `nextDueMs` gave for the frame before. */
export function startWindow(dueMs: number, periodMs: number): StartWindow {
  return { fromMs: dueMs - periodMs * EARLY_RATIO, untilMs: dueMs + periodMs * LATE_RATIO };
}

/** When the frame after one that starts now is due: early starts do not add up to a higher rate. */
export function nextDueMs(startMs: number, dueMs: number, periodMs: number): number {
  return Math.max(startMs, dueMs) + periodMs;
}
