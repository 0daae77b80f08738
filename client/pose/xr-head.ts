/** The head and eyes of a WebXR viewer pose, as a pose message has them. Pure. */
import type { EyePose, Vector3 } from "#contracts/media/pose.ts";
import type { XrTransform, XrView, XrViewerPose } from "../display/webxr.ts";
import { fieldOfViewOf, type HeadPose } from "./head-pose.ts";
import { conjugate, rotate } from "./rotation.ts";

/** `floorMetres` is how far the reference space's origin is above the floor. `undefined` for a pose without views. */
export function headPoseOfViewer({ transform, views }: XrViewerPose, floorMetres: number): HeadPose | undefined {
  const left = views.find(({ eye }) => eye !== "right") ?? views[0];
  const right = views.find(({ eye }) => eye === "right") ?? left;
  if (left === undefined || right === undefined) return undefined;
  const { x, y, z } = transform.position;
  const { x: qx, y: qy, z: qz, w } = transform.orientation;
  return {
    position: { x, y: y + floorMetres, z },
    orientation: { x: qx, y: qy, z: qz, w },
    eyes: [eyePoseOf(left, transform), eyePoseOf(right, transform)],
  };
}

function eyePoseOf(view: XrView, head: XrTransform): EyePose {
  const { position } = view.transform;
  const offset: Vector3 = {
    x: position.x - head.position.x,
    y: position.y - head.position.y,
    z: position.z - head.position.z,
  };
  return {
    offset: rotate(conjugate(head.orientation), offset),
    fieldOfView: fieldOfViewOf(view.projectionMatrix),
  };
}
