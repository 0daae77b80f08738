/** Regions of interest as FFmpeg's frames carry them (AVRegionOfInterest): one after the other in a frame's side data. */
import type { Ffmpeg } from "./ffmpeg.ts";
import type { Region } from "./foveation.ts";

type Frame = InstanceType<Ffmpeg["av"]["Frame"]>;

/** Its own size, four sides, and a rational of two; integers of 32 bits as the machine has them. */
const REGION_BYTES = 28;
/** An offset of 1 is all quantiser steps that H.264 has. */
const STEPS_WHOLE = 51;

/** In the place of those that the frame had. */
export function setRegions(frame: Frame, regions: readonly Region[], names: Ffmpeg["names"]): void {
  frame.removeSideData(names.AV_FRAME_DATA_REGIONS_OF_INTEREST);
  if (regions.length === 0) return;
  const values = regions.flatMap(({ top, bottom, left, right, coarserSteps }) => [
    ...[REGION_BYTES, top, bottom, left, right],
    ...[coarserSteps, STEPS_WHOLE],
  ]);
  const bytes = frame.newSideData(names.AV_FRAME_DATA_REGIONS_OF_INTEREST, regions.length * REGION_BYTES);
  bytes.set(new Uint8Array(Int32Array.from(values).buffer));
}
