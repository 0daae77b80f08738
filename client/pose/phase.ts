/**
 * When within a frame of the display a pose is sampled, so that its picture is there just before a frame of the display
 * draws it: one that comes just after waits for nearly a whole frame, and of two that come within one only the newer is
 * seen. Pure.
 */

/** Between one and two seconds. */
const PICTURES_JUDGED = 100;
/** Of those, so many may come too late for the frame that is aimed at. */
const LATE_PICTURES = 2;
/** Between the latest of the others and the display's frame: decoding is told, not uploading. */
const MARGIN_MS = 1;
/** Of a display's frame: to send so little later is not worth it. */
const WORTH_RATIO = 0.15;
/** Of the average: a frame of the display that was left out is no longer frame. */
const LEFT_OUT_RATIO = 1.5;
const SMOOTHING = 0.05;

export interface PhaseAlignment {
  /** The display draws a frame. */
  displayFrame(nowMs: number): void;
  pictureCame(remotePathMs: number): void;
  /** From the display's frame to the pose; below its period. */
  delayMs(): number;
  /** From a frame of the display to the next; 0 while that is not known. */
  periodMs(): number;
}

export function createPhaseAlignment(): PhaseAlignment {
  const pathsMs: number[] = [];
  let periodMs = 0;
  let lastFrameMs: number | undefined;
  let delayMs = 0;
  const align = (): void => {
    const latestMs = pathsMs.toSorted((a, b) => b - a)[LATE_PICTURES] ?? 0;
    const wanted = modulo(-(latestMs + MARGIN_MS), periodMs);
    // What is sent too late is sent earlier at once: then it is a frame that is lost.
    if (modulo(wanted - delayMs, periodMs) > WORTH_RATIO * periodMs) delayMs = wanted;
  };
  return {
    displayFrame(nowMs) {
      const sinceMs = nowMs - (lastFrameMs ?? nowMs);
      lastFrameMs = nowMs;
      if (sinceMs <= 0) return;
      if (periodMs === 0) periodMs = sinceMs;
      else periodMs += (Math.min(sinceMs, periodMs * LEFT_OUT_RATIO) - periodMs) * SMOOTHING;
    },
    pictureCame(remotePathMs) {
      if (periodMs === 0) return;
      pathsMs.push(remotePathMs);
      if (pathsMs.length < PICTURES_JUDGED) return;
      align();
      pathsMs.length = 0;
    },
    delayMs: () => Math.min(delayMs, periodMs),
    periodMs: () => periodMs,
  };
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}
