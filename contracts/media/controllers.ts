/** The hands of a pose message: up to two controllers, 48 bytes each, little endian. Pure; the same file in the browser. */
import { Failure } from "#domain/failure.ts";
import { isWithin, POSITION_METRES_MAX, type Quaternion, unitOf, type Vector3 } from "./space.ts";

/** In the order of their numbers on the wire. */
export const HANDS = ["left", "right"] as const;
export type Hand = (typeof HANDS)[number];

export interface ControllerPose {
  readonly hand: Hand;
  /** Metres, in the axes of the head's position. */
  readonly position: Vector3;
  /** Points along -z. */
  readonly orientation: Quaternion;
  /** 0..1. */
  readonly trigger: number;
  readonly squeeze: number;
  /** -1..1; x to the right, y towards the person. */
  readonly thumbstick: { readonly x: number; readonly y: number };
}

/** One for each hand. */
export const CONTROLLERS_MAX = HANDS.length;
export const CONTROLLER_BYTES = 48;

export function writeController(view: DataView, offset: number, controller: ControllerPose): void {
  const { hand, position: p, orientation: q, trigger, squeeze, thumbstick } = controller;
  view.setUint8(offset, HANDS.indexOf(hand));
  const floats = [p.x, p.y, p.z, q.x, q.y, q.z, q.w, trigger, squeeze, thumbstick.x, thumbstick.y];
  for (const [index, value] of floats.entries()) view.setFloat32(offset + 4 + index * 4, value, true);
}

/** Throws `media-invalid` for more than there are hands, one hand twice, or numbers that are none of a controller. */
export function readControllers(view: DataView, offset: number, count: number): readonly ControllerPose[] {
  const controllers = Array.from({ length: count }, (_, index) => readOne(view, offset + index * CONTROLLER_BYTES));
  if (new Set(controllers.map(({ hand }) => hand)).size !== count) throw invalid("each hand must be there once");
  return controllers;
}

function readOne(view: DataView, offset: number): ControllerPose {
  const float = (index: number): number => view.getFloat32(offset + 4 + index * 4, true);
  const hand = HANDS[view.getUint8(offset)];
  if (hand === undefined) throw invalid("hand must be left or right");
  const position = { x: float(0), y: float(1), z: float(2) };
  if (!isWithin(position, POSITION_METRES_MAX)) throw invalid(`position must be within ${POSITION_METRES_MAX} m`);
  const orientation = unitOf({ x: float(3), y: float(4), z: float(5), w: float(6) });
  if (orientation === undefined) throw invalid("orientation must be a unit quaternion");
  const thumbstick = { x: float(9), y: float(10) };
  if (!isWithin({ ...thumbstick, z: 0 }, 1)) throw invalid("thumbstick must be within 1");
  return {
    hand,
    position,
    orientation,
    trigger: ratio(float(7), "trigger"),
    squeeze: ratio(float(8), "squeeze"),
    thumbstick,
  };
}

function ratio(value: number, what: string): number {
  if (value >= 0 && value <= 1) return value;
  throw invalid(`${what} must be 0..1, got ${value}`);
}

function invalid(what: string): Failure {
  return new Failure("media-invalid", `controller of a pose message: ${what}`);
}
