/** What a person sees of the pictures that come: how old each is when it is first drawn, and when none comes for too long. Pure. */
import type { FrameHeader } from "#contracts/media/frame.ts";
import { type Percentiles, percentilesOf, WINDOW_SAMPLES_MAX } from "./latency.ts";

/** Three frames at 30 Hz: the eye takes a shorter gap for a movement that was turned. */
export const FREEZE_MS_MIN = 100;

export interface DrawnCounts {
  /** Gaps between pictures that were longer than `FREEZE_MS_MIN`; none is counted while the session is paused. */
  readonly freezes: number;
  /** The sum of those gaps. */
  readonly frozenMs: number;
  /**
   * From a pose being sampled to the picture rendered from it being drawn. Light leaves the display about a frame of
   * the display later. What is drawn is turned to where the head is by then.
   */
  readonly poseToDrawnMs: Percentiles | undefined;
}

export interface DrawnLog {
  pictureCame(nowMs: number, picture: Pick<FrameHeader, "poseSampledAtMs" | "renderStartedAtMs">): void;
  drawn(nowMs: number): void;
  /** The gap up to the next picture is nobody's fault. */
  interrupted(): void;
  counts(): DrawnCounts;
  /** What `poseToDrawnMs` is about now; 0 before the first. */
  usualMs(): number;
}

/** Half of what it says is of the last dozen pictures. */
const SMOOTHING_GAIN = 1 / 16;

/** `onPictureDrawn` is told of each picture once, when it is first drawn: the agent's stamp of it, and the time by the page's clock. */
export function createDrawnLog(onPictureDrawn?: (stampMs: number, drawnAtMs: number) => void): DrawnLog {
  const agesMs: number[] = [];
  let [freezes, frozenMs, drawnCount, usualMs] = [0, 0, 0, 0];
  let cameAtMs: number | undefined;
  let undrawn: Pick<FrameHeader, "poseSampledAtMs" | "renderStartedAtMs"> | undefined;
  return {
    pictureCame(nowMs, picture) {
      const gapMs = cameAtMs === undefined ? 0 : nowMs - cameAtMs;
      if (gapMs > FREEZE_MS_MIN) {
        freezes += 1;
        frozenMs += gapMs;
      }
      cameAtMs = nowMs;
      undrawn = picture;
    },
    drawn(nowMs) {
      if (undrawn === undefined) return;
      const ageMs = Math.max(0, nowMs - undrawn.poseSampledAtMs);
      const stampMs = undrawn.renderStartedAtMs;
      agesMs[drawnCount % WINDOW_SAMPLES_MAX] = ageMs;
      usualMs = drawnCount === 0 ? ageMs : usualMs + (ageMs - usualMs) * SMOOTHING_GAIN;
      drawnCount += 1;
      undrawn = undefined;
      onPictureDrawn?.(stampMs, nowMs);
    },
    interrupted() {
      cameAtMs = undefined;
    },
    counts: () => ({ freezes, frozenMs, poseToDrawnMs: agesMs.length === 0 ? undefined : percentilesOf(agesMs) }),
    usualMs: () => usualMs,
  };
}
