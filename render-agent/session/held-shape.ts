/** The shape of an object as a client draws it, or `undefined` for what it is not told: too much of it, or not convex. Pure. */
import {
  HELD_EXTENT_METRES_MAX,
  HELD_TRIANGLES_MAX,
  HELD_VERTICES_MAX,
  type HeldObject,
} from "#contracts/media/held-object.ts";
import { buildGeometry, type DetailRatio } from "../renderer/geometry.ts";
import type { SceneInstance, SceneMesh } from "../renderer/scene.ts";

export type HeldShape = Pick<HeldObject, "positions" | "normals" | "triangles" | "colour" | "glowRatio">;

export interface ShapeOptions {
  readonly mesh: SceneMesh;
  /** Half extents, metres. */
  readonly scale: readonly number[];
  readonly detail: DetailRatio;
  readonly look: Pick<SceneInstance, "colour" | "glowRatio">;
}

/** A mirrored solid, and one that is seen from inside too, would be drawn inside out. */
export function shapeOf({ mesh, scale, detail, look }: ShapeOptions): HeldShape | undefined {
  const isSolid = mesh.shape !== "plane" && mesh.doubleSided !== true;
  if (!isSolid || scale.some((part) => !(part > 0 && part <= HELD_EXTENT_METRES_MAX))) return undefined;
  const { vertices, indices } = buildGeometry(mesh, detail);
  const count = vertices.length / VERTEX_FLOATS;
  if (count > HELD_VERTICES_MAX || indices.length / 3 > HELD_TRIANGLES_MAX) return undefined;
  const corners = Array.from({ length: count }, (_, vertex) => vertex * VERTEX_FLOATS);
  const three = (at: number): readonly number[] => [...vertices.subarray(at, at + 3)];
  return {
    positions: corners.flatMap((at) => three(at).map((part, axis) => rounded(part * (scale[axis] ?? 0), 4))),
    normals: corners.flatMap((at) => unitNormal(three(at + 3).map((part, axis) => part / (scale[axis] ?? 1)))),
    triangles: [...indices],
    colour: look.colour,
    glowRatio: look.glowRatio,
  };
}

const VERTEX_FLOATS = 8;

function unitNormal(normal: readonly number[]): readonly number[] {
  const length = Math.hypot(...normal) || 1;
  return normal.map((part) => rounded(part / length, 2));
}

/** A tenth of a millimetre, a hundredth of a normal: a number of six characters. */
function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits)) || 0;
}
