/** Triangles of the primitives, each within -1..1, at a level of detail; seen from outside they run counter-clockwise. Pure. */
import { type SceneMesh, SEGMENTS_DEFAULT } from "./scene.ts";

export interface Geometry {
  /** Position, normal, texture coordinate: 8 floats a vertex. */
  readonly vertices: Float32Array<ArrayBuffer>;
  readonly indices: Uint32Array<ArrayBuffer>;
}

/** What a segment count is multiplied by; 1 is full detail. */
export type DetailRatio = number;
const SEGMENTS_MIN = 6;

export function buildGeometry(mesh: SceneMesh, detail: DetailRatio): Geometry {
  const full = mesh.segments ?? SEGMENTS_DEFAULT;
  const segments = Math.max(Math.min(SEGMENTS_MIN, full), Math.round(full * detail));
  return BUILDERS[mesh.shape](segments);
}

const BUILDERS: Readonly<Record<SceneMesh["shape"], (segments: number) => Geometry>> = {
  box,
  plane,
  sphere: (segments) => grid(segments, Math.max(3, Math.round(segments / 2)), spherePoint),
  cylinder,
};

type Point = readonly [px: number, py: number, pz: number, nx: number, ny: number, nz: number];

/** `u` runs around, `v` from top to bottom, both 0..1. */
function grid(around: number, down: number, pointAt: (u: number, v: number) => Point): Geometry {
  const vertices: number[] = [];
  const indices: number[] = [];
  for (let i = 0; i <= around; i += 1) {
    for (let j = 0; j <= down; j += 1) vertices.push(...pointAt(i / around, j / down), (i / around) * 4, j / down);
  }
  for (let i = 0; i < around; i += 1) {
    for (let j = 0; j < down; j += 1) {
      const corner = i * (down + 1) + j;
      const next = corner + down + 1;
      indices.push(corner, next, corner + 1, next, next + 1, corner + 1);
    }
  }
  return pack(vertices, indices);
}

function spherePoint(u: number, v: number): Point {
  const [turn, fall] = [u * 2 * Math.PI, v * Math.PI];
  const [x, y, z] = [Math.sin(fall) * Math.cos(turn), Math.cos(fall), Math.sin(fall) * Math.sin(turn)];
  return [x, y, z, x, y, z];
}

function cylinder(segments: number): Geometry {
  const side = grid(segments, 1, (u, v) => {
    const [x, z] = [Math.cos(u * 2 * Math.PI), Math.sin(u * 2 * Math.PI)];
    return [x, 1 - 2 * v, z, x, 0, z];
  });
  const cap = (y: number): Geometry =>
    grid(segments, 1, (u, v) => [Math.cos(u * 2 * Math.PI) * v, y, Math.sin(u * 2 * Math.PI) * v, 0, y, 0]);
  return [side, cap(1), cap(-1)].reduce(concat);
}

function plane(): Geometry {
  const corners = [
    [-1, -1],
    [1, -1],
    [1, 1],
    [-1, 1],
  ] as const;
  const vertices = corners.flatMap(([x, z]) => [x, 0, z, 0, 1, 0, (x + 1) / 2, (z + 1) / 2]);
  return pack(vertices, [0, 2, 1, 0, 3, 2]);
}

function box(): Geometry {
  const faces: Geometry[] = [];
  for (const axis of [0, 1, 2]) {
    for (const sign of [1, -1]) faces.push(boxFace(axis, sign));
  }
  return faces.reduce(concat);
}

function boxFace(axis: number, sign: number): Geometry {
  const vertices: number[] = [];
  for (const [a, b] of [
    [-1, -1],
    [1, -1],
    [1, 1],
    [-1, 1],
  ] as const) {
    const point = [0, 0, 0];
    const normal = [0, 0, 0];
    point[axis] = sign;
    normal[axis] = sign;
    point[(axis + 1) % 3] = a;
    point[(axis + 2) % 3] = b;
    vertices.push(...point, ...normal, (a + 1) / 2, (b + 1) / 2);
  }
  return pack(vertices, [0, 1, 2, 0, 2, 3]);
}

function concat(a: Geometry, b: Geometry): Geometry {
  const offset = a.vertices.length / 8;
  return pack([...a.vertices, ...b.vertices], [...a.indices, ...b.indices.map((index) => index + offset)]);
}

/** Turns each triangle to where its normals point, and leaves out those without an area, as at a sphere's poles. */
function pack(vertices: readonly number[], indices: readonly number[]): Geometry {
  const turned: number[] = [];
  for (let at = 0; at < indices.length; at += 3) {
    const [a = 0, b = 0, c = 0] = indices.slice(at, at + 3);
    const facing = facingOf(vertices, a, b, c);
    if (Math.abs(facing) > FLAT) turned.push(a, ...(facing > 0 ? [b, c] : [c, b]));
  }
  return { vertices: new Float32Array(vertices), indices: new Uint32Array(turned) };
}

const FLAT = 1e-9;

/** Twice the area of a triangle, along its corners' normals added up: below 0 where it runs clockwise. */
function facingOf(vertices: readonly number[], a: number, b: number, c: number): number {
  const part = (corner: number, at: number): number => vertices[corner * 8 + at] ?? 0;
  const along = (corner: number, at: number): number => part(corner, at) - part(a, at);
  return [0, 1, 2].reduce((sum, axis) => {
    const [y, z] = [(axis + 1) % 3, (axis + 2) % 3];
    const area = along(b, y) * along(c, z) - along(b, z) * along(c, y);
    return sum + area * (part(a, 3 + axis) + part(b, 3 + axis) + part(c, 3 + axis));
  }, 0);
}
