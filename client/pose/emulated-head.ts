/** A head without a headset: where it looks and stands, moved by degrees and metres. Pure. */
import type { EyePose } from "#contracts/media/pose.ts";
import type { HeadPose } from "./head-pose.ts";
import { lookRotation } from "./rotation.ts";

export interface EmulatedHead {
  /** To the right, as on a compass; 0 is forward (-z). */
  readonly yawDegrees: number;
  /** Upward. */
  readonly pitchDegrees: number;
  /** Metres; y from the floor. */
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

const STANDING_METRES = 1.6;
/** Straight up a neck does not go, and yaw would lose its meaning. */
const PITCH_DEGREES_MAX = 85;
/** A room: the sample hall and then some. */
const PLACE_METRES_MAX = 100;
/** The mean distance of human pupils. */
const PUPIL_DISTANCE_METRES = 0.063;
/** 77 degrees from top to bottom, less than a headset: more distorts on a flat screen. */
const VERTICAL_TANGENT = 0.8;

export const FORWARD: EmulatedHead = { yawDegrees: 0, pitchDegrees: 0, x: 0, y: STANDING_METRES, z: 0 };

/** What is not a finite number changes nothing. */
export function moveTo(head: EmulatedHead, wish: Partial<EmulatedHead>): EmulatedHead {
  const pick = (key: keyof EmulatedHead): number => {
    const value = wish[key];
    return value !== undefined && Number.isFinite(value) ? value : head[key];
  };
  return {
    yawDegrees: pick("yawDegrees") % 360,
    pitchDegrees: clamp(pick("pitchDegrees"), PITCH_DEGREES_MAX),
    x: clamp(pick("x"), PLACE_METRES_MAX),
    y: clamp(pick("y"), PLACE_METRES_MAX),
    z: clamp(pick("z"), PLACE_METRES_MAX),
  };
}

/** Metres to the right and ahead, along where it looks, on the floor's plane. */
export function walk(head: EmulatedHead, { right, ahead }: { right: number; ahead: number }): EmulatedHead {
  const yaw = (head.yawDegrees * Math.PI) / 180;
  const x = head.x + right * Math.cos(yaw) + ahead * Math.sin(yaw);
  const z = head.z + right * Math.sin(yaw) - ahead * Math.cos(yaw);
  return moveTo(head, { x, z });
}

/** `eyeAspect` is width over height of an eye's picture. */
export function headPoseOf(head: EmulatedHead, eyeAspect: number): HeadPose {
  const horizontal = VERTICAL_TANGENT * eyeAspect;
  const fieldOfView = { left: horizontal, right: horizontal, up: VERTICAL_TANGENT, down: VERTICAL_TANGENT };
  const eye = (side: -1 | 1): EyePose => ({
    offset: { x: (side * PUPIL_DISTANCE_METRES) / 2, y: 0, z: 0 },
    fieldOfView,
  });
  return { position: { x: head.x, y: head.y, z: head.z }, orientation: lookRotation(head), eyes: [eye(-1), eye(1)] };
}

function clamp(value: number, max: number): number {
  return Math.min(Math.max(value, -max), max);
}
