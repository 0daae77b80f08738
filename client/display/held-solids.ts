/** What hands hold, as solids where the hands are on the display. Pure but for what it remembers. */
import type { ControllerPose, Hand } from "#contracts/media/controllers.ts";
import type { HeldObject } from "#contracts/media/held-object.ts";
import { multiply, rotate } from "../pose/rotation.ts";
import type { Solid, SolidGeometry } from "./solids.ts";

export interface HeldSolids {
  /** A hand that is out of sight for a while has it where it was seen last. */
  at(held: readonly HeldObject[], controllers: readonly ControllerPose[]): readonly Solid[];
}

const UNSCALED = { x: 1, y: 1, z: 1 };

export function createHeldSolids(): HeldSolids {
  const geometries = new WeakMap<HeldObject, SolidGeometry>();
  const hands = new Map<Hand, ControllerPose>();
  const geometryOf = (object: HeldObject): SolidGeometry => {
    const geometry = geometries.get(object) ?? {
      positions: Float32Array.from(object.positions),
      normals: Float32Array.from(object.normals),
      indices: Uint8Array.from(object.triangles),
    };
    geometries.set(object, geometry);
    return geometry;
  };
  return {
    at(held, controllers) {
      for (const controller of controllers) hands.set(controller.hand, controller);
      return held.flatMap((object) => {
        const hand = hands.get(object.hand);
        return hand === undefined ? [] : [solidIn(hand, object, geometryOf(object))];
      });
    },
  };
}

function solidIn(hand: ControllerPose, object: HeldObject, geometry: SolidGeometry): Solid {
  const { x, y, z } = rotate(hand.orientation, object.position);
  const { colour, glowRatio } = object;
  return {
    geometry,
    position: { x: hand.position.x + x, y: hand.position.y + y, z: hand.position.z + z },
    orientation: multiply(hand.orientation, object.orientation),
    ...{ scale: UNSCALED, colour, glowRatio },
  };
}
