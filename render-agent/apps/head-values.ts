/** A pose and its controllers as numbers, for an app: 7 of the head, a count, 12 of each controller. Pure. */
import { type ControllerPose, HANDS } from "#contracts/media/controllers.ts";
import type { PoseMessage } from "#contracts/media/pose.ts";
import type { Quaternion, Vector3 } from "#contracts/media/space.ts";

/** Where the first controller's begin, and how many each has; the first of them is its hand. */
export const CONTROLLERS_AT = 8;
export const CONTROLLER_VALUES = 12;

export function headValues({ position, orientation, controllers = [] }: PoseMessage): Float64Array<ArrayBuffer> {
  const held = controllers.flatMap(controllerValues);
  return new Float64Array([...placeValues(position, orientation), controllers.length, ...held]);
}

function controllerValues(controller: ControllerPose): readonly number[] {
  const { hand, position, orientation, trigger, squeeze, thumbstick } = controller;
  const place = placeValues(position, orientation);
  return [HANDS.indexOf(hand), ...place, trigger, squeeze, thumbstick.x, thumbstick.y];
}

function placeValues({ x, y, z }: Vector3, q: Quaternion): readonly number[] {
  return [x, y, z, q.x, q.y, q.z, q.w];
}
