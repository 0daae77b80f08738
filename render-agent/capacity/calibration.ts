/** What a render class costs on this machine, from the times of frames drawn alone and two at once. Pure. */
import { percentile } from "../session/frame-times.ts";

/** From full detail down; software rendering pays for every vertex. */
export const DETAILS = [1, 0.5, 0.25, 0.12] as const;
/** Of the frame's period: the rest is for the encoder's worst picture and what else the machine does. */
const FIT_RATIO = 0.7;

export interface Calibration {
  readonly detail: number;
  /** Sessions of it at once that keep render and encode within the frame's period. */
  readonly slots: number;
  /** Render and encode, alone. */
  readonly frameMsP95: number;
}

/** Whether a lower level of detail is worth trying. */
export function fitsPeriod(framesMs: readonly number[], frameRateHz: number): boolean {
  return percentile(framesMs, 0.95) <= (1000 / frameRateHz) * FIT_RATIO;
}

/**
 * `together` are the frames of two that drew as fast as they could: they shared all there is, and n sessions would
 * take n / 2 times as long each.
 */
export function calibrationOf(
  { detail, alone, together }: { detail: number; alone: readonly number[]; together: readonly number[] },
  frameRateHz: number,
): Calibration {
  const periodMs = 1000 / frameRateHz;
  const pairMs = percentile(together, 0.95);
  const slots = pairMs === 0 ? 1 : Math.floor((2 * periodMs) / pairMs);
  return { detail, slots: Math.max(1, slots), frameMsP95: percentile(alone, 0.95) };
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
  };
}

function pixelsOf({ eyeWidthPixels, eyeHeightPixels }: ClassSize): number {
  return eyeWidthPixels * eyeHeightPixels;
}
