/** What a hand holds is where the hand is on the display, and nowhere where no frame says so. */
import t from "tap";
import type { ControllerPose } from "#contracts/media/controllers.ts";
import type { HeldObject } from "#contracts/media/held-object.ts";
import { lookRotation, rotate } from "../pose/rotation.ts";
import { createHeldSolids } from "./held-solids.ts";

const HELD: HeldObject = {
  ...{ hand: "right", hold: 1, position: { x: 0, y: 0, z: -0.5 }, orientation: { x: 0, y: 0, z: 0, w: 1 } },
  ...{ colour: [1, 0, 0], glowRatio: 0.5, positions: [0, 0, 0], normals: [0, 1, 0], triangles: [0, 0, 0] },
};

function controller(hand: ControllerPose["hand"], x: number, yawDegrees: number): ControllerPose {
  const untouched = { trigger: 0, squeeze: 0, thumbstick: { x: 0, y: 0 } };
  return {
    hand,
    position: { x, y: 1, z: 0 },
    orientation: lookRotation({ yawDegrees, pitchDegrees: 0 }),
    ...untouched,
  };
}

t.test("it follows its hand, keeps its geometry, and stays where the hand was seen last", async (t) => {
  const solids = createHeldSolids();
  t.same(solids.at([HELD], [controller("left", 0, 0)]), [], "a hand that was never seen holds nothing");
  t.same(solids.at([], [controller("right", 0, 0)]), [], "what no frame says is not drawn");
  const [ahead] = solids.at([HELD], [controller("left", 5, 0), controller("right", 2, 0)]);
  t.same(ahead?.position, { x: 2, y: 1, z: -0.5 });
  t.match(ahead, { colour: [1, 0, 0], glowRatio: 0.5 });
  const [right] = solids.at([HELD], [controller("right", 2, 90)]);
  t.ok(Math.hypot((right?.position.x ?? 0) - 2.5, right?.position.z ?? 1) < 1e-9, JSON.stringify(right?.position));
  const front = right && rotate(right.orientation, { x: 0, y: 0, z: -1 });
  t.ok(Math.abs((front?.x ?? 0) - 1) < 1e-9, "turned as the hand is");
  t.equal(right?.geometry, ahead?.geometry, "it is uploaded once");
  t.same(solids.at([HELD], []), [right], "a hand that is out of sight has it where it was");
});
