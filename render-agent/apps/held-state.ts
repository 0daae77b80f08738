/**
 * What an app's state says of what hands hold, behind objects and sounds: eight floats a hand, left and right. The
 * number of the object, from 1, or 0; then its place in the hand (7): position, orientation. Pure.
 */
import { HANDS } from "#contracts/media/controllers.ts";
import { conjugate, multiply, type Quaternion, rotate, type Vector3 } from "#contracts/media/space.ts";
import { initialSoundState } from "../audio/sound-state.ts";
import { initialTransforms, TRANSFORM_FLOATS, type Transforms } from "../renderer/objects.ts";
import type { Scene } from "../renderer/scene.ts";
import { CONTROLLER_VALUES, CONTROLLERS_AT } from "./head-values.ts";

const HAND_FLOATS = 8;
export const HELD_FLOATS = HANDS.length * HAND_FLOATS;

/** All that an app has of its scene: objects, sounds, and hands that hold nothing. */
export function initialState(scene: Scene): Float32Array<ArrayBuffer> {
  const held = new Array<number>(HELD_FLOATS).fill(0);
  return new Float32Array([...initialTransforms(scene), ...initialSoundState(scene.sounds ?? []), ...held]);
}

export interface HeldPlace {
  /** Its place in the order of the scene's objects. */
  readonly object: number;
  readonly position: Vector3;
  readonly orientation: Quaternion;
}

/** Of the hand's number; `undefined` for one that holds nothing. */
export function heldBy(state: Transforms, hand: number): HeldPlace | undefined {
  const at = handAt(state, hand);
  const number = state[at] ?? 0;
  return number === 0 ? undefined : { object: number - 1, ...placeAt(state, at + 1) };
}

/**
 * Writes where in the hands the objects are, by the pose that the state was made for; a hand that is not there holds
 * nothing, and neither does the second of two that hold the same. Gives what is wrong where a hand holds what is no object.
 */
export function placeHeld(state: Transforms, objects: number, head: Float64Array): string | undefined {
  const held = HANDS.map((_, hand) => state[handAt(state, hand)] ?? Number.NaN);
  for (const [hand, number] of held.entries()) {
    if (!(Number.isInteger(number) && number >= 0 && number <= objects)) {
      return `the ${HANDS[hand]} hand must hold one of ${objects} objects, got number ${number}`;
    }
    const at = handAt(state, hand);
    const place = number === 0 || held.indexOf(number) < hand ? undefined : placeOfHand(head, hand);
    state.fill(0, at, at + HAND_FLOATS);
    if (place === undefined) continue;
    const own = placeAt(state, (number - 1) * TRANSFORM_FLOATS);
    const back = conjugate(place.orientation);
    const { x, y, z } = rotate(back, less(own.position, place.position));
    const turn = multiply(back, own.orientation);
    state.set([number, x, y, z, turn.x, turn.y, turn.z, turn.w], at);
  }
  return undefined;
}

function handAt(state: Transforms, hand: number): number {
  return state.length - HELD_FLOATS + hand * HAND_FLOATS;
}

function placeOfHand(head: Float64Array, hand: number): Omit<HeldPlace, "object"> | undefined {
  for (let at = CONTROLLERS_AT; at < head.length; at += CONTROLLER_VALUES) {
    if (head[at] === hand) return placeAt(head, at + 1);
  }
  return undefined;
}

function placeAt(values: Float64Array | Transforms, at: number): Omit<HeldPlace, "object"> {
  const part = (offset: number): number => values[at + offset] ?? 0;
  return {
    position: { x: part(0), y: part(1), z: part(2) },
    orientation: { x: part(3), y: part(4), z: part(5), w: part(6) },
  };
}

function less(a: Vector3, b: Vector3): Vector3 {
  return { x: a.x - b.x, y: a.y - b.y, z: a.z - b.z };
}
