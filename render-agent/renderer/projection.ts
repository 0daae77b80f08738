/** Matrices of an eye: column-major, right-handed with -z forward, depth 0..1. Pure. */
import type { EyePose, FieldOfView, PoseMessage, Quaternion, Vector3 } from "#contracts/media/pose.ts";

export const NEAR_METRES = 0.05;
export const FAR_METRES = 200;
export type Matrix = Float32Array<ArrayBuffer>;

export function rotate(q: Quaternion, v: Vector3): Vector3 {
  const tx = 2 * (q.y * v.z - q.z * v.y);
  const ty = 2 * (q.z * v.x - q.x * v.z);
  const tz = 2 * (q.x * v.y - q.y * v.x);
  return {
    x: v.x + q.w * tx + (q.y * tz - q.z * ty),
    y: v.y + q.w * ty + (q.z * tx - q.x * tz),
    z: v.z + q.w * tz + (q.x * ty - q.y * tx),
  };
}

export function eyePosition(pose: PoseMessage, eye: EyePose): Vector3 {
  const offset = rotate(pose.orientation, eye.offset);
  return { x: pose.position.x + offset.x, y: pose.position.y + offset.y, z: pose.position.z + offset.z };
}

/** From the world to clip space, for an eye at `position`. */
export function viewProjection(position: Vector3, orientation: Quaternion, fov: FieldOfView): Matrix {
  return multiply(projection(fov), view(position, orientation));
}

function projection({ left, right, up, down }: FieldOfView): Matrix {
  const [width, height, depth] = [right + left, up + down, FAR_METRES - NEAR_METRES];
  const columns = [
    [2 / width, 0, 0, 0],
    [0, 2 / height, 0, 0],
    [(right - left) / width, (up - down) / height, -FAR_METRES / depth, -1],
    [0, 0, -(FAR_METRES * NEAR_METRES) / depth, 0],
  ];
  return new Float32Array(columns.flat());
}

function view(position: Vector3, orientation: Quaternion): Matrix {
  const axes = [
    { x: 1, y: 0, z: 0 },
    { x: 0, y: 1, z: 0 },
    { x: 0, y: 0, z: 1 },
  ].map((axis) => rotate(orientation, axis));
  const along = (pick: (axis: Vector3) => number): number[] => [...axes.map(pick), 0];
  const origin = axes.map((axis) => -(axis.x * position.x + axis.y * position.y + axis.z * position.z));
  return new Float32Array([...along((a) => a.x), ...along((a) => a.y), ...along((a) => a.z), ...origin, 1]);
}

function multiply(a: Matrix, b: Matrix): Matrix {
  const product = new Float32Array(16);
  for (let column = 0; column < 4; column += 1) {
    for (let row = 0; row < 4; row += 1) {
      let sum = 0;
      for (let k = 0; k < 4; k += 1) sum += (a[k * 4 + row] ?? 0) * (b[column * 4 + k] ?? 0);
      product[column * 4 + row] = sum;
    }
  }
  return product;
}
