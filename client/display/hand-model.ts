/** How controllers and hands look: some solids each, a few hundred triangles. Pure. */
import type { ControllerPose } from "#contracts/media/controllers.ts";
import type { Quaternion, Vector3 } from "#contracts/media/space.ts";
import { lookRotation, multiply, NO_ROTATION, rotate } from "../pose/rotation.ts";
import { barrel, type Solid } from "./solids.ts";

export interface Bone {
  readonly from: Vector3;
  readonly to: Vector3;
  readonly radiusMetres: number;
}

export interface SeenHands {
  /** Where they are held, which is not where they point from. */
  readonly controllers: readonly ControllerPose[];
  readonly bones: readonly Bone[];
}

const PART = barrel(12);
const BONE = barrel(6);

type Colour = Solid["colour"];
const SHELL: Colour = [0.1, 0.11, 0.13];
const KEY: Colour = [0.35, 0.37, 0.4];
const TRIGGERS: Readonly<Record<ControllerPose["hand"], Colour>> = { left: [0.05, 0.4, 0.6], right: [0.75, 0.3, 0.05] };
const GLOVE: Colour = [0.3, 0.33, 0.38];

/** In the axes of a grip: -z along what is held, towards the thumb. */
interface Part {
  readonly at: Vector3;
  readonly scale: Vector3;
  readonly pitchDegrees?: number;
  readonly colour: Colour;
  readonly glowRatio?: number;
}

export function solidsOfHands({ controllers, bones }: SeenHands): readonly Solid[] {
  return [...controllers.flatMap(controllerSolids), ...bones.map(boneSolid)];
}

/** A handle with a head on it; what is pressed goes in and shines, and the stick leans. */
function controllerSolids(controller: ControllerPose): readonly Solid[] {
  const { hand, trigger, squeeze, thumbstick } = controller;
  const inwards = hand === "left" ? 1 : -1;
  const parts: readonly Part[] = [
    { at: { x: 0, y: -0.004, z: 0.02 }, scale: { x: 0.015, y: 0.018, z: 0.055 }, pitchDegrees: 8, colour: SHELL },
    { at: { x: 0, y: 0.006, z: -0.05 }, scale: { x: 0.026, y: 0.013, z: 0.03 }, pitchDegrees: -12, colour: SHELL },
    {
      ...{ at: { x: 0, y: -0.014, z: -0.058 + trigger * 0.006 }, scale: { x: 0.008, y: 0.009, z: 0.014 } },
      ...{ colour: TRIGGERS[hand], glowRatio: trigger },
    },
    {
      ...{ at: { x: inwards * (0.014 - squeeze * 0.004), y: 0, z: -0.005 }, scale: { x: 0.006, y: 0.008, z: 0.014 } },
      ...{ colour: KEY, glowRatio: squeeze },
    },
    {
      at: { x: thumbstick.x * 0.005, y: 0.022, z: -0.055 + thumbstick.y * 0.005 },
      ...{ scale: { x: 0.007, y: 0.008, z: 0.007 }, colour: KEY },
    },
  ];
  return parts.map((part) => partSolid(controller, part));
}

function partSolid(
  { position, orientation }: Pick<ControllerPose, "position" | "orientation">,
  { at, scale, pitchDegrees = 0, colour, glowRatio = 0 }: Part,
): Solid {
  const { x, y, z } = rotate(orientation, at);
  return {
    geometry: PART,
    position: { x: position.x + x, y: position.y + y, z: position.z + z },
    orientation: multiply(orientation, lookRotation({ yawDegrees: 0, pitchDegrees })),
    ...{ scale, colour, glowRatio },
  };
}

/** A barrel along it, round at both ends. */
function boneSolid({ from, to, radiusMetres: radius }: Bone): Solid {
  const along = { x: to.x - from.x, y: to.y - from.y, z: to.z - from.z };
  const metres = Math.hypot(along.x, along.y, along.z);
  return {
    geometry: BONE,
    position: { x: from.x + along.x / 2, y: from.y + along.y / 2, z: from.z + along.z / 2 },
    orientation: metres === 0 ? NO_ROTATION : turnTo(along, metres),
    scale: { x: radius, y: radius, z: metres / 2 + radius / 2 },
    ...{ colour: GLOVE, glowRatio: 0 },
  };
}

/** The shortest way from z to there; which end of a barrel is ahead makes no difference. */
function turnTo({ x, y, z }: Vector3, metres: number): Quaternion {
  const side = z < 0 ? -1 : 1;
  const w = 1 + (side * z) / metres;
  const length = Math.hypot(x / metres, y / metres, w);
  return { x: (-side * y) / metres / length, y: (side * x) / metres / length, z: 0, w: w / length };
}
