/** Objects: the instances of a scene that have a name. Where they stand is one array, 11 floats each. Pure. */
import type { Scene, SceneInstance } from "./scene.ts";

/** Position (3), orientation (4: x, y, z, w), scale (3), visible (above 0). */
export const TRANSFORM_FLOATS = 11;
export type Transforms = Float32Array<ArrayBufferLike>;

/** In the order of the scene, which is that of the array. */
export function namesOfObjects(scene: Scene): readonly string[] {
  return scene.instances.flatMap(({ name }) => (name === undefined ? [] : [name]));
}

export function initialTransforms(scene: Scene): Float32Array<ArrayBuffer> {
  return new Float32Array(scene.instances.flatMap((one) => (one.name === undefined ? [] : transformOf(one))));
}

function transformOf({ position, yawDegrees, scale }: SceneInstance): readonly number[] {
  const half = (yawDegrees * Math.PI) / 360;
  return [...position, 0, Math.sin(half), 0, Math.cos(half), ...scale, 1];
}

/** Which row of a mesh's instances an object is. */
export interface ObjectRow {
  readonly row: number;
  readonly object: number;
}

/** Of one mesh's instances. */
export function objectRowsOf(scene: Scene, mesh: string): readonly ObjectRow[] {
  const names = namesOfObjects(scene);
  const instances = scene.instances.filter((instance) => instance.mesh === mesh);
  const objects = new Map(names.map((name, object) => [name, object]));
  return instances.flatMap(({ name }, row) => {
    const object = name === undefined ? undefined : objects.get(name);
    return object === undefined ? [] : [{ row, object }];
  });
}

const NONE: ReadonlySet<number> = new Set();

/** Into rows that begin with position, one, orientation and scale; what is not visible, or left out, has no extent. */
export function placeObjects(
  values: Float32Array,
  rowFloats: number,
  rows: readonly ObjectRow[],
  transforms: Transforms,
  leftOut = NONE,
): void {
  for (const { row, object } of rows) {
    const [to, from] = [row * rowFloats, object * TRANSFORM_FLOATS];
    const isVisible = (transforms[from + 10] ?? 0) > 0 && !leftOut.has(object);
    for (let part = 0; part < 3; part += 1) {
      values[to + part] = transforms[from + part] ?? 0;
      values[to + 8 + part] = isVisible ? (transforms[from + 7 + part] ?? 0) : 0;
    }
    for (let part = 0; part < 4; part += 1) values[to + 4 + part] = transforms[from + 3 + part] ?? 0;
  }
}
