/** Whether what an app wrote can be drawn: finite, within bounds, with rotations, which are made of length one. Pure. */
import { POSITION_METRES_MAX, unitOf } from "#contracts/media/space.ts";
import { TRANSFORM_FLOATS, type Transforms } from "../renderer/objects.ts";

/** As for a scene's own instances. */
const SCALE_MAX = 10_000;

/** What is wrong with the first that is; `undefined` where all can be drawn. */
export function checkTransforms(transforms: Transforms, names: readonly string[]): string | undefined {
  for (const [object, name] of names.entries()) {
    const fault = checkOne(transforms, object * TRANSFORM_FLOATS);
    if (fault !== undefined) return `object ${name}: ${fault}`;
  }
  return undefined;
}

function checkOne(transforms: Transforms, at: number): string | undefined {
  for (let part = 0; part < 3; part += 1) {
    if (!(Math.abs(transforms[at + part] ?? 0) <= POSITION_METRES_MAX)) {
      return `position must be within ${POSITION_METRES_MAX} m, got ${transforms[at + part]}`;
    }
    if (!(Math.abs(transforms[at + 7 + part] ?? 0) <= SCALE_MAX)) {
      return `scale must be within ${SCALE_MAX}, got ${transforms[at + 7 + part]}`;
    }
  }
  const [x, y, z, w] = [transforms[at + 3], transforms[at + 4], transforms[at + 5], transforms[at + 6]];
  const unit = unitOf({ x: x ?? 0, y: y ?? 0, z: z ?? 0, w: w ?? 0 });
  if (unit === undefined) return "orientation must be a unit quaternion";
  transforms[at + 3] = unit.x;
  transforms[at + 4] = unit.y;
  transforms[at + 5] = unit.z;
  transforms[at + 6] = unit.w;
  const visible = transforms[at + 10] ?? 0;
  return Number.isNaN(visible) ? "visible must be a number" : undefined;
}
