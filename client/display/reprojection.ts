/** Reprojection: what a frame rendered for one eye's place and direction shows of another. Pure. */
import {
  type DepthShape,
  depthShapeOf,
  type EyeSize,
  INVERSE_DEPTH_PER_METRE_MAX,
} from "#contracts/media/depth-shape.ts";
import type { EyePose, FieldOfView, Quaternion, Vector3 } from "#contracts/media/pose.ts";
import type { HeadPose } from "../pose/head-pose.ts";
import { conjugate, matrixOf, multiply, rotate } from "../pose/rotation.ts";

export interface EyeView {
  /** Of the eye, in the world, metres. */
  readonly position: Vector3;
  readonly orientation: Quaternion;
  readonly fieldOfView: FieldOfView;
}

/** Steps towards the point whose depth explains where it is seen: the third moves it by less than a pixel. */
export const DEPTH_STEPS = 3;
/** Below the nearest depth there is: farther, what is near would be seen from behind. A head on a walk is there in 0.15 s. */
export const TRAVEL_METRES_MAX = 0.2;

export function eyeViewOf({ position, orientation }: Omit<HeadPose, "eyes">, eye: EyePose): EyeView {
  const offset = rotate(orientation, eye.offset);
  return { position: add(position, offset), orientation, fieldOfView: eye.fieldOfView };
}

/** From a ray in the axes of the eye now to the axes it was rendered in; columns of a 3×3 matrix. */
export function reprojectionMatrix(source: Quaternion, current: Quaternion): readonly number[] {
  return matrixOf(multiply(conjugate(source), current));
}

/** From where it was rendered to where the eye is now, in the axes of then; cut at TRAVEL_METRES_MAX. */
export function travelOf(source: EyeView, current: EyeView): Vector3 {
  const way = rotate(conjugate(source.orientation), add(current.position, scaled(source.position, -1)));
  const metres = Math.hypot(way.x, way.y, way.z);
  return metres > TRAVEL_METRES_MAX ? scaled(way, TRAVEL_METRES_MAX / metres) : way;
}

export interface PicturePoint {
  /** 0..1 from left and from top inside the picture; beyond it nothing was rendered. */
  readonly x: number;
  readonly y: number;
}

/** Per metre, at a point of the eye's picture. */
export type InverseDepthAt = (point: PicturePoint) => number;

/**
 * Where in the eye's picture a point of the eye's view is found; `undefined` behind it. Without depth all is as far as
 * the sky. The shader computes the same, from `homographyOf` and `shiftOf`.
 */
export function findSource(
  point: PicturePoint,
  source: EyeView,
  current: EyeView,
  inverseDepthAt: InverseDepthAt = () => 0,
): PicturePoint | undefined {
  const { left, right, up, down } = current.fieldOfView;
  const ray = [-left + point.x * (left + right), up - point.y * (up + down), -1] as const;
  const matrix = reprojectionMatrix(source.orientation, current.orientation);
  const along = (row: number): number =>
    ray.reduce((sum, part, column) => sum + part * (matrix[column * 3 + row] ?? 0), 0);
  const [x, y, depth] = [along(0), along(1), -along(2)];
  if (depth <= 0) return undefined;
  const from = { x: x / depth, y: y / depth };
  const travel = travelOf(source, current);
  let found = inPicture(from, source.fieldOfView);
  for (let step = 0; step < DEPTH_STEPS; step += 1) {
    const inverse = inverseDepthAt(found);
    const at = {
      x: from.x + inverse * (travel.x + travel.z * from.x),
      y: from.y + inverse * (travel.y + travel.z * from.y),
    };
    found = inPicture(at, source.fieldOfView);
  }
  return found;
}

/** Of tangents to the right and up. */
function inPicture({ x, y }: { x: number; y: number }, { left, right, up, down }: FieldOfView): PicturePoint {
  return { x: (x + left) / (left + right), y: (up - y) / (up + down) };
}

/**
 * What `findSource` does without depth, as one matrix, by columns: from (x, y, 1), 0..1 from left and *bottom* of the
 * view, to the point of the picture times the last coordinate, which is 0 or below for what lies behind.
 */
export function homographyOf(source: EyeView, current: EyeView): readonly number[] {
  const turn = reprojectionMatrix(source.orientation, current.orientation);
  const { left, right, up, down } = source.fieldOfView;
  const seen = current.fieldOfView;
  const rays = [
    [seen.left + seen.right, 0, 0],
    [0, seen.up + seen.down, 0],
    [-seen.left, -seen.down, -1],
  ] as const;
  return rays.flatMap((ray) => {
    const along = (row: number): number => ray.reduce((sum, part, at) => sum + part * (turn[at * 3 + row] ?? 0), 0);
    const [x, y, depth] = [along(0), along(1), -along(2)];
    return [(x + left * depth) / (left + right), (up * depth - y) / (up + down), depth];
  });
}

/** By columns: from (x, y, 1) as `homographyOf` takes it to the ray of the world along which it is seen, of any length. */
export function raysOf({ orientation, fieldOfView: { left, right, up, down } }: EyeView): readonly number[] {
  const columns = [
    { x: left + right, y: 0, z: 0 },
    { x: 0, y: up + down, z: 0 },
    { x: -left, y: -down, z: -1 },
  ];
  return columns.map((column) => rotate(orientation, column)).flatMap(({ x, y, z }) => [x, y, z]);
}

/** By how much a point of the picture moves for one per metre of inverse depth: (x, y) + z times the point. */
export function shiftOf(source: EyeView, current: EyeView): Vector3 {
  const { left, right, up, down } = source.fieldOfView;
  const { x, y, z } = travelOf(source, current);
  return { x: (x - z * left) / (left + right), y: -(y + z * up) / (up + down), z };
}

/** At most by so many pixels a point moves whose inverse depth is at most `inversePerMetre`. */
export function pixelsMoved(shift: Vector3, inversePerMetre: number, size: EyeSize): number {
  // Linear over the picture: the most is at one of its borders.
  const most = (least: number): number => Math.max(Math.abs(least), Math.abs(least + shift.z));
  return inversePerMetre * Math.hypot(most(shift.x) * size.eyeWidthPixels, most(shift.y) * size.eyeHeightPixels);
}

/** What part of the plane is covered by the picture, whose last blocks may be cut. */
export function planeRatioOf({ columns, rows, blockPixels }: DepthShape, eye: EyeSize): PicturePoint {
  return { x: eye.eyeWidthPixels / (columns * blockPixels), y: eye.eyeHeightPixels / (rows * blockPixels) };
}

/** Where an eye's plane lies in the texture of both, one below the other; limits are least x, least y, most x, most y. */
export function planesAreaOf(size: EyeSize, eye: 0 | 1) {
  const shape = depthShapeOf(size);
  const ratio = planeRatioOf(shape, size);
  const [column, row, top] = [1 / shape.columns, 0.5 / shape.rows, eye * 0.5];
  const [right, bottom] = [Math.min(ratio.x, 1 - column / 2), top + Math.min(ratio.y * 0.5, 0.5 - row / 2)];
  return {
    origin: [0, top],
    scale: [ratio.x, ratio.y * 0.5],
    limits: [column / 2, top + row / 2, right, bottom],
  } as const;
}

/** Between the cells' middles linear, at the border as at the last middle: as the shader's texture is read. */
export function depthLookupOf(cells: Uint8Array, shape: DepthShape, size: EyeSize, eye: 0 | 1): InverseDepthAt {
  const { columns, rows } = shape;
  const ratio = planeRatioOf(shape, size);
  const cell = (column: number, row: number): number => cells[(eye * rows + row) * columns + column] ?? 0;
  return ({ x, y }) => {
    const u = clamp(clamp(x, 0, 1) * ratio.x * columns - 0.5, 0, columns - 1);
    const v = clamp(clamp(y, 0, 1) * ratio.y * rows - 0.5, 0, rows - 1);
    const [left, top] = [Math.min(Math.floor(u), columns - 2), Math.min(Math.floor(v), rows - 2)];
    const [a, b] = [u - left, v - top];
    const upper = cell(left, top) * (1 - a) + cell(left + 1, top) * a;
    const lower = cell(left, top + 1) * (1 - a) + cell(left + 1, top + 1) * a;
    return ((upper * (1 - b) + lower * b) / 255) * INVERSE_DEPTH_PER_METRE_MAX;
  };
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}

function add(a: Vector3, b: Vector3): Vector3 {
  return { x: a.x + b.x, y: a.y + b.y, z: a.z + b.z };
}

function scaled({ x, y, z }: Vector3, by: number): Vector3 {
  return { x: x * by, y: y * by, z: z * by };
}
