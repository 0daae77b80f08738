/**
 * What an app tells of its scene's sounds: five floats each, in the order of the scene. Position (3), gain, and how often
 * it was started: a number that has grown starts it anew, one below 0 says that it was stopped since. Pure.
 */
import { POSITION_METRES_MAX } from "#contracts/media/space.ts";
import { GAIN_MAX, type SceneSound } from "./sound-schema.ts";

export const SOUND_FLOATS = 5;
export const SOUND_OFFSETS = { position: 0, gain: 3, starts: 4 } as const;

export function initialSoundState(sounds: readonly SceneSound[]): Float32Array<ArrayBuffer> {
  return new Float32Array(sounds.flatMap(({ position, gain, plays }) => [...position, gain, plays ? 1 : 0]));
}

/** What is wrong with the first that is; `undefined` where all can be heard. */
export function checkSoundState(values: Float32Array, names: readonly string[]): string | undefined {
  for (const [index, name] of names.entries()) {
    const fault = checkOne(values.subarray(index * SOUND_FLOATS, (index + 1) * SOUND_FLOATS));
    if (fault !== undefined) return `sound ${name}: ${fault}`;
  }
  return undefined;
}

function checkOne(values: Float32Array): string | undefined {
  const [gain = 0, starts = 0] = values.subarray(SOUND_OFFSETS.gain);
  for (const part of values.subarray(SOUND_OFFSETS.position, SOUND_OFFSETS.gain)) {
    if (!(Math.abs(part) <= POSITION_METRES_MAX))
      return `position must be within ${POSITION_METRES_MAX} m, got ${part}`;
  }
  if (!(gain >= 0 && gain <= GAIN_MAX)) return `gain must be 0..${GAIN_MAX}, got ${gain}`;
  return Number.isFinite(starts) ? undefined : "its count of starts must be a number";
}
