/** Shapes of the sample gallery, around the origin, each within -1..1. Pure. */
import type { Shape } from "./glb-builder.ts";

type Point = readonly [x: number, y: number, z: number];

/** A ball. */
export function ball(around: number, down: number): Shape {
  return surface(around, down, (u, v) => {
    const [turn, fall] = [u * 2 * Math.PI, v * Math.PI];
    const point: Point = [-Math.cos(turn) * Math.sin(fall), Math.cos(fall), Math.sin(turn) * Math.sin(fall)];
    return { point, normal: point };
  });
}

/** A ring lying down, as thick as a third of it. */
export function ring(around: number, across: number): Shape {
  const [radius, thickness] = [0.75, 0.25];
  return surface(around, across, (u, v) => {
    const [turn, roll] = [u * 2 * Math.PI, -v * 2 * Math.PI];
    const normal: Point = [-Math.cos(turn) * Math.cos(roll), Math.sin(roll), Math.sin(turn) * Math.cos(roll)];
    const [x, y, z] = normal;
    return {
      point: [x * thickness - Math.cos(turn) * radius, y * thickness, z * thickness + Math.sin(turn) * radius],
      normal,
    };
  });
}

/** A square lying down, seen from above; its texture is repeated so many times. */
export function square(repeats: number): Shape {
  return {
    positions: [-1, 0, 1, 1, 0, 1, 1, 0, -1, -1, 0, -1],
    normals: [0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0],
    textureCoordinates: [0, repeats, repeats, repeats, repeats, 0, 0, 0],
    indices: [0, 1, 2, 0, 2, 3],
  };
}

/** A box: without normals, so that its faces are flat. */
export function box(): Shape {
  const positions = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((corner) => [1, 2, 4].map((bit) => ((corner & bit) === 0 ? -1 : 1)));
  const faces = [
    [0, 4, 6, 2],
    [1, 3, 7, 5],
    [0, 1, 5, 4],
    [2, 6, 7, 3],
    [0, 2, 3, 1],
    [4, 5, 7, 6],
  ];
  return { positions, indices: faces.flatMap(([a = 0, b = 0, c = 0, d = 0]) => [a, b, c, a, c, d]) };
}

interface Place {
  readonly point: Point;
  readonly normal: Point;
}

/** `u` runs around, `v` across, both 0..1; seen from where the normals point, corners turn counter-clockwise. */
function surface(around: number, across: number, placeAt: (u: number, v: number) => Place): Shape {
  const shape = { positions: [], normals: [], textureCoordinates: [], indices: [] } satisfies Shape;
  const { positions, normals, textureCoordinates, indices }: Record<keyof typeof shape, number[]> = shape;
  for (let i = 0; i <= around; i += 1) {
    for (let j = 0; j <= across; j += 1) {
      const { point, normal } = placeAt(i / around, j / across);
      positions.push(...point);
      normals.push(...normal);
      textureCoordinates.push(i / around, j / across);
      if (i === around || j === across) continue;
      const corner = i * (across + 1) + j;
      const next = corner + across + 1;
      indices.push(corner, corner + 1, next, next, corner + 1, next + 1);
    }
  }
  return shape;
}
