/** Rotations as unit quaternions, in WebXR's axes: right-handed, -z forward, y up. Pure. */
import type { Quaternion, Vector3 } from "#contracts/media/pose.ts";

export const NO_ROTATION: Quaternion = { x: 0, y: 0, z: 0, w: 1 };

/** First `b`, then `a`. */
export function multiply(a: Quaternion, b: Quaternion): Quaternion {
  return {
    x: a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y,
    y: a.w * b.y - a.x * b.z + a.y * b.w + a.z * b.x,
    z: a.w * b.z + a.x * b.y - a.y * b.x + a.z * b.w,
    w: a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z,
  };
}

export function conjugate({ x, y, z, w }: Quaternion): Quaternion {
  return { x: -x, y: -y, z: -z, w };
}

export function rotate(rotation: Quaternion, { x, y, z }: Vector3): Vector3 {
  const turned = multiply(multiply(rotation, { x, y, z, w: 0 }), conjugate(rotation));
  return { x: turned.x, y: turned.y, z: turned.z };
}

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
