/** Places and directions in poses, and what is none. Pure; the same file in the browser. */

export interface Vector3 {
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

/** A unit quaternion; WebXR's axes: right-handed, -z forward, y up. */
export interface Quaternion extends Vector3 {
  readonly w: number;
}

/** A room and then some: farther is a broken tracker, and 32-bit floats lose a millimetre at 16 km. */
export const POSITION_METRES_MAX = 10_000;

/** False where a part is no number. */
export function isWithin({ x, y, z }: Vector3, max: number): boolean {
  return Math.abs(x) <= max && Math.abs(y) <= max && Math.abs(z) <= max;
}

/** Of length one; `undefined` for what is no rotation: floats on their way lose little of a length. */
export function unitOf({ x, y, z, w }: Quaternion): Quaternion | undefined {
  const length = Math.hypot(x, y, z, w);
  if (!(length > 0.5 && length < 2)) return undefined;
  return { x: x / length, y: y / length, z: z / length, w: w / length };
}

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
