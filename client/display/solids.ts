/** Solids that are drawn here, over the picture. They are convex: what faces an eye hides the rest, without a depth buffer. Pure. */
import type { Quaternion, Vector3 } from "#contracts/media/space.ts";

/** Seen from outside its triangles run counter-clockwise. */
export interface SolidGeometry {
  /** Three floats a vertex. */
  readonly positions: Float32Array<ArrayBuffer>;
  readonly normals: Float32Array<ArrayBuffer>;
  readonly indices: Uint8Array<ArrayBuffer>;
}

export interface Solid {
  /** The same object for what is drawn again: it is uploaded once. */
  readonly geometry: SolidGeometry;
  /** Of the world, metres. */
  readonly position: Vector3;
  readonly orientation: Quaternion;
  /** What the geometry is multiplied by, above 0. */
  readonly scale: Vector3;
  /** 0..1, of light and not of a display: as in a scene file. */
  readonly colour: readonly [red: number, green: number, blue: number];
  /** How much of its colour it shines with by itself. */
  readonly glowRatio: number;
}

/** As a painter does it: the nearer one is drawn over the farther one. */
export function farthestFirst(solids: readonly Solid[], eye: Vector3): readonly Solid[] {
  const metres = ({ position: { x, y, z } }: Solid): number => Math.hypot(x - eye.x, y - eye.y, z - eye.z);
  return [...solids].sort((a, b) => metres(b) - metres(a));
}

/** Latitudes from pole to pole; between a ball and a tin. */
const BARREL_ROWS = 4;
const BARREL_POWER = 0.5;

/** Along z, within -1..1, with so many corners around. */
export function barrel(corners: number): SolidGeometry {
  const positions: number[] = [];
  for (let row = 0; row <= BARREL_ROWS; row += 1) {
    const fall = (row / BARREL_ROWS) * Math.PI;
    const [wide, along] = [Math.sin(fall) ** BARREL_POWER, Math.cos(fall)];
    const z = -Math.sign(along) * Math.abs(along) ** BARREL_POWER;
    for (let corner = 0; corner < corners; corner += 1) {
      const turn = (corner / corners) * 2 * Math.PI;
      positions.push(wide * Math.cos(turn), wide * Math.sin(turn), z);
    }
  }
  const indices: number[] = [];
  for (let row = 0; row < BARREL_ROWS; row += 1) {
    for (let corner = 0; corner < corners; corner += 1) {
      const [here, beside] = [row * corners + corner, row * corners + ((corner + 1) % corners)];
      const [below, across] = [here + corners, beside + corners];
      if (row > 0) indices.push(here, beside, across);
      if (row < BARREL_ROWS - 1) indices.push(here, across, below);
    }
  }
  const places = new Float32Array(positions);
  // Of the curve x⁴ + y⁴ + z⁴ = 1, near enough to that of the barrel.
  return { positions: places, normals: places.map((part) => part ** 3), indices: Uint8Array.from(indices) };
}
