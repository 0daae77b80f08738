/** Rotational reprojection: what a frame rendered for one view direction shows in another. Pure. */
import type { FieldOfView, Quaternion } from "#contracts/media/pose.ts";
import { conjugate, matrixOf, multiply } from "../pose/rotation.ts";

export interface EyeDirection {
  readonly orientation: Quaternion;
  readonly fieldOfView: FieldOfView;
}

/** From a ray in the axes of the eye now to the axes it was rendered in; columns of a 3×3 matrix. */
export function reprojectionMatrix(source: Quaternion, current: Quaternion): readonly number[] {
  return matrixOf(multiply(conjugate(source), current));
}

export interface PicturePoint {
  /** 0..1 from left and from top inside the picture; beyond it nothing was rendered. */
  readonly x: number;
  readonly y: number;
}

/** Where in the eye's picture a point of the eye's view is found; `undefined` behind it. The shader computes the same. */
export function findSource(point: PicturePoint, source: EyeDirection, current: EyeDirection): PicturePoint | undefined {
  const { left, right, up, down } = current.fieldOfView;
  const ray = [-left + point.x * (left + right), up - point.y * (up + down), -1] as const;
  const matrix = reprojectionMatrix(source.orientation, current.orientation);
  const along = (row: number): number =>
    ray.reduce((sum, part, column) => sum + part * (matrix[column * 3 + row] ?? 0), 0);
  const [x, y, depth] = [along(0), along(1), -along(2)];
  if (depth <= 0) return undefined;
  const rendered = source.fieldOfView;
  return {
    x: (x / depth + rendered.left) / (rendered.left + rendered.right),
    y: (rendered.up - y / depth) / (rendered.up + rendered.down),
  };
}
