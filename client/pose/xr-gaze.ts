/** Where the eyes look, of a WebXR frame's input sources, as a pose message has it. Pure. */
import type { GazeDirection, Quaternion } from "#contracts/media/pose.ts";
import type { XrInputSource, XrTransform } from "../display/webxr.ts";
import { conjugate, rotate } from "./rotation.ts";

/** 60 degrees: no eye turns as far, so what does is no gaze. */
const TANGENT_MAX = Math.sqrt(3);
const FORWARD = { x: 0, y: 0, z: -1 };

/** `undefined` without a source of gaze, while it is not tracked, or where its ray is none of an eye. */
export function gazeOf(
  sources: Iterable<XrInputSource>,
  poseOf: (source: XrInputSource) => XrTransform | undefined,
  head: Quaternion,
): GazeDirection | undefined {
  const source = [...sources].find(({ targetRayMode }) => targetRayMode === "gaze");
  const ray = source === undefined ? undefined : poseOf(source)?.orientation;
  if (ray === undefined) return undefined;
  const { x, y, z } = rotate(conjugate(head), rotate(ray, FORWARD));
  const gaze = { x: x / -z, y: y / -z };
  return z < 0 && Math.hypot(gaze.x, gaze.y) <= TANGENT_MAX ? gaze : undefined;
}
