/** Rotations as unit quaternions, in WebXR's axes: right-handed, -z forward, y up. Pure. */
import { multiply, type Quaternion } from "#contracts/media/space.ts";

export { conjugate, multiply, rotate } from "#contracts/media/space.ts";

export const NO_ROTATION: Quaternion = { x: 0, y: 0, z: 0, w: 1 };

/** Yaw to the right as on a compass, then pitch upward. */
export function lookRotation({ yawDegrees, pitchDegrees }: { yawDegrees: number; pitchDegrees: number }): Quaternion {
  const halfYaw = (-yawDegrees * Math.PI) / 360;
  const halfPitch = (pitchDegrees * Math.PI) / 360;
  const yaw = { x: 0, y: Math.sin(halfYaw), z: 0, w: Math.cos(halfYaw) };
  const pitch = { x: Math.sin(halfPitch), y: 0, z: 0, w: Math.cos(halfPitch) };
  return multiply(yaw, pitch);
}

/** Columns of the 3×3 rotation matrix, one after another. */
export function matrixOf({ x, y, z, w }: Quaternion): readonly number[] {
  return [
    ...[1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)],
    ...[2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)],
    ...[2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)],
  ];
}
