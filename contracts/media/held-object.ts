/**
 * An object that a hand holds, as an agent tells it, so that a client can draw it where the hand is on its display:
 * its place in the hand and its shape, a convex solid of one colour. Frames say by its number that they are without it.
 * Pure; the same file in the browser.
 */
import { Failure } from "#domain/failure.ts";
import { HANDS, type Hand } from "./controllers.ts";
import { isWithin, type Quaternion, type Vector3 } from "./space.ts";

export interface HeldObject {
  readonly hand: Hand;
  /** Of this hand's holds, counted 1..HOLDS_MAX and from 1 again: seven holds ago no frame is shown any more. */
  readonly hold: number;
  /** In the axes of the hand's pose, as pose messages have it; metres. */
  readonly position: Vector3;
  readonly orientation: Quaternion;
  /** 0..1, of light and not of a display. */
  readonly colour: readonly [red: number, green: number, blue: number];
  /** How much of its colour it shines with by itself. */
  readonly glowRatio: number;
  /** Three metres a vertex, in the object's axes. */
  readonly positions: readonly number[];
  /** Three a vertex, each within 1. */
  readonly normals: readonly number[];
  /** Three vertices' numbers each; seen from outside they run counter-clockwise. */
  readonly triangles: readonly number[];
}

/** A number of a hold for each hand, left and right; 0 for a hand whose object, if it has one, is in the picture. */
export type HoldNumbers = readonly [left: number, right: number];

export const HOLDS_MAX = 7;
/** A ball of 16 segments has 153 and 224; all numbers of as many as this stay below a control message. */
export const HELD_VERTICES_MAX = 192;
export const HELD_TRIANGLES_MAX = 320;
/** From its own origin: what is larger is no thing in a hand. */
export const HELD_EXTENT_METRES_MAX = 2;
/** From the hand: what is pointed at may be held from afar. */
export const HELD_DISTANCE_METRES_MAX = 10;

const UNIT_ERROR_MAX = 1e-3;

type Fields = Readonly<Record<string, unknown>>;

/** Throws `media-invalid`. */
export function readHeldObject(fields: Fields): HeldObject {
  const positions = numbers(fields["positions"], HELD_VERTICES_MAX, HELD_EXTENT_METRES_MAX);
  const triangles = numbers(fields["triangles"], HELD_TRIANGLES_MAX, HELD_VERTICES_MAX);
  const vertices = positions.length / 3;
  if (triangles.some((index) => !Number.isInteger(index) || index < 0 || index >= vertices)) {
    throw invalid(`triangles must be of its ${vertices} vertices`);
  }
  const normals = numbers(fields["normals"], HELD_VERTICES_MAX, 1);
  if (normals.length !== positions.length) throw invalid("each vertex must have a normal");
  const [red = 0, green = 0, blue = 0] = ratios(fields["colour"]);
  return {
    ...readHold(fields),
    position: vectorOf(fields["position"]),
    orientation: turnOf(fields["orientation"]),
    colour: [red, green, blue],
    glowRatio: ratio(fields["glowRatio"]),
    ...{ positions, normals, triangles },
  };
}

/** Throws `media-invalid`. */
export function readHold(fields: Fields): Pick<HeldObject, "hand" | "hold"> {
  const { hand: name, hold } = fields;
  const hand = HANDS.find((one) => one === name);
  if (hand === undefined) throw invalid("hand must be left or right");
  if (typeof hold === "number" && Number.isInteger(hold) && hold >= 1 && hold <= HOLDS_MAX) return { hand, hold };
  throw invalid(`hold must be a whole number of 1..${HOLDS_MAX}`);
}

/** Three each, at least one. */
function numbers(value: unknown, countMax: number, most: number): readonly number[] {
  if (!Array.isArray(value) || value.length === 0 || value.length % 3 !== 0 || value.length > countMax * 3) {
    throw invalid(`must have 1..${countMax} times three numbers of each`);
  }
  return value.map((one: unknown) => within(one, -most, most));
}

function within(value: unknown, least: number, most: number): number {
  if (typeof value === "number" && value >= least && value <= most) return value;
  throw invalid(`must have numbers of ${least}..${most} there`);
}

const ratio = (value: unknown): number => within(value, 0, 1);

function ratios(value: unknown): readonly number[] {
  if (Array.isArray(value) && value.length === 3) return value.map(ratio);
  throw invalid("colour must be three ratios");
}

function partOf(value: unknown, name: string): number {
  const part: unknown = typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
  return typeof part === "number" ? part : Number.NaN;
}

function vectorOf(value: unknown): Vector3 {
  const vector = { x: partOf(value, "x"), y: partOf(value, "y"), z: partOf(value, "z") };
  if (isWithin(vector, HELD_DISTANCE_METRES_MAX)) return vector;
  throw invalid(`position must be within ${HELD_DISTANCE_METRES_MAX} m of the hand`);
}

function turnOf(value: unknown): Quaternion {
  const turn = { x: partOf(value, "x"), y: partOf(value, "y"), z: partOf(value, "z"), w: partOf(value, "w") };
  // Of 32-bit floats, multiplied: taken as it is, so that what was taken is read again as it was.
  if (Math.abs(Math.hypot(turn.x, turn.y, turn.z, turn.w) - 1) <= UNIT_ERROR_MAX) return turn;
  throw invalid("orientation must be a unit quaternion");
}

function invalid(what: string): Failure {
  return new Failure("media-invalid", `held object: ${what}`);
}
