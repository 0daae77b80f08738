/** Which parts of a picture are encoded finely: rings around where each eye looks, the next one coarser. Pure. */
import type { EyePose, GazeDirection, PoseMessage } from "#contracts/media/pose.ts";

/** `fixed` takes the eyes to look ahead; `gaze` goes by the pose's gaze where it has one, and looks ahead without. */
export const FOVEATIONS = ["off", "fixed", "gaze"] as const;
export type Foveation = (typeof FOVEATIONS)[number];
/** For clients that ask for it. In the sample hall it saves a third of the bytes at the same picture in the middle. */
export const FOVEATION_USUAL: Foveation = "gaze";

/** What a picture is drawn for. */
export interface FoveatedView extends Pick<PoseMessage, "asksFoveation" | "gaze"> {
  readonly eyes: readonly [Pick<EyePose, "fieldOfView">, Pick<EyePose, "fieldOfView">];
}

export interface PictureSize {
  /** Of both eyes, side by side, the left one first. */
  readonly widthPixels: number;
  readonly heightPixels: number;
}

/** Pixels of the whole picture; `bottom` and `right` are the first that are not in it. */
export interface Region {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
  /** H.264 quantiser steps above what rate control chooses; six double the quantiser. */
  readonly coarserSteps: number;
}

/**
 * Squares of so many degrees to each side of where an eye looks, from the inmost on. Eyes seldom turn further than 20
 * degrees in a head that may turn itself, so the first is as fine where the gaze is known as where it is not: a device
 * that calls the head's own ray its gaze loses nothing.
 */
const RINGS = [
  { degrees: 20, coarserSteps: 0 },
  { degrees: 28, coarserSteps: 4 },
] as const;
const BEYOND_STEPS = 8;

const AHEAD: GazeDirection = { x: 0, y: 0 };
/** Where tangents end. */
const DEGREES_MAX = 89;

/** In the order of precedence: where two overlap the earlier counts, and the last is all of the picture. None where the client does not ask. */
export function foveatedRegions(view: FoveatedView, size: PictureSize, foveation: Foveation): readonly Region[] {
  if (foveation === "off" || view.asksFoveation !== true) return [];
  const gaze = foveation === "gaze" ? (view.gaze ?? AHEAD) : AHEAD;
  const { widthPixels, heightPixels } = size;
  const rings = RINGS.flatMap(({ degrees, coarserSteps }) =>
    view.eyes.map(({ fieldOfView: { left, right, up, down } }, index) => {
      const width = widthPixels / 2;
      const columns = spanOf(gaze.x, degrees, { from: -left, to: right, pixels: width });
      const rows = spanOf(-gaze.y, degrees, { from: -up, to: down, pixels: heightPixels });
      const offset = index * width;
      const sides = { left: offset + columns.first, right: offset + columns.end, top: rows.first, bottom: rows.end };
      return { ...sides, coarserSteps };
    }),
  );
  const seen = rings.filter(({ top, bottom, left, right }) => bottom > top && right > left);
  return [...seen, { top: 0, bottom: heightPixels, left: 0, right: widthPixels, coarserSteps: BEYOND_STEPS }];
}

interface Axis {
  /** Tangents of the first and of the last pixel's border. */
  readonly from: number;
  readonly to: number;
  readonly pixels: number;
}

/** The pixels within so many degrees of a tangent. */
function spanOf(tangent: number, degrees: number, { from, to, pixels }: Axis) {
  const centre = (Math.atan(tangent) * 180) / Math.PI;
  const pixelAt = (angle: number): number => {
    const clamped = Math.min(Math.max(angle, -DEGREES_MAX), DEGREES_MAX);
    const at = Math.round(((Math.tan((clamped * Math.PI) / 180) - from) / (to - from)) * pixels);
    return Math.min(Math.max(at, 0), pixels);
  };
  return { first: pixelAt(centre - degrees), end: pixelAt(centre + degrees) };
}
