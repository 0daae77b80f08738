/** The sounds of a scene: names told apart, files found in its bundle and taken into it, samples made. Pure. */
import { Failure } from "#domain/failure.ts";
import { bundlePathOf, decodeDataUri, isInline } from "../gltf/resource-uris.ts";
import type { SceneSound } from "./sound-schema.ts";
import { type Samples, synthesiseNoise, synthesiseTone } from "./synthesis.ts";
import { readWav } from "./wav.ts";

/** Of a scene: 87 s of one channel at 48 kHz. In base64 they stay within a scene's own bound. */
export const SOUND_FILES_BYTES_MAX = 8 * 1024 * 1024;
/** Of all sounds at 48 kHz, twice as much: files of lower rates grow. */
const SAMPLES_BYTES_MAX = 16 * 1024 * 1024;

export interface Sound {
  readonly name: string;
  /** 48 kHz, one channel. */
  readonly samples: Samples;
  readonly loop: boolean;
}

/** Throws `scene-invalid`. */
export function checkSounds(sounds: readonly SceneSound[]): void {
  const names = new Set<string>();
  for (const [index, { name, tone, noise, file }] of sounds.entries()) {
    if (names.has(name)) refuse(`sounds[${index}].name`, `must be unique, got ${name}`);
    names.add(name);
    const kinds = [tone, noise, file].filter((kind) => kind !== undefined).length;
    if (kinds !== 1) refuse(`sounds[${index}]`, "must have one of tone, noise and file");
  }
}

/** Paths in the bundle of a scene that is at `scenePath`, by what its sounds have as `file`. Throws `scene-invalid`. */
export function soundPathsOf(sounds: readonly SceneSound[], scenePath: string): ReadonlyMap<string, string> {
  const paths = new Map<string, string>();
  for (const [index, { file }] of sounds.entries()) {
    if (file !== undefined && !isInline(file)) paths.set(file, bundlePathOf(file, placeOf(index), scenePath));
  }
  return paths;
}

/** The same with their files in themselves. */
export function withFiles(
  sounds: readonly SceneSound[],
  files: ReadonlyMap<string, Uint8Array>,
): readonly SceneSound[] {
  return sounds.map((sound) => {
    const bytes = sound.file === undefined ? undefined : files.get(sound.file);
    if (bytes === undefined) return sound;
    return { ...sound, file: `data:audio/wav;base64,${Buffer.from(bytes).toString("base64")}` };
  });
}

/** Of sounds that have their files in themselves. Throws `scene-invalid`. */
export function makeSounds(sounds: readonly SceneSound[]): readonly Sound[] {
  let left = SAMPLES_BYTES_MAX;
  return sounds.map((sound, index) => {
    const samples = samplesOf(sound, index);
    left -= samples.byteLength;
    if (left < 0) refuse(placeOf(index), `makes more than ${SAMPLES_BYTES_MAX} bytes of samples`);
    return { name: sound.name, samples, loop: sound.loop };
  });
}

function samplesOf({ tone, noise, file, loop }: SceneSound, index: number): Samples {
  if (tone !== undefined) return synthesiseTone(tone, loop);
  if (noise !== undefined) return synthesiseNoise(noise, loop);
  if (file === undefined || !isInline(file)) refuse(placeOf(index), "must be a file of the scene's bundle");
  return readWav(decodeDataUri(file, placeOf(index)), placeOf(index));
}

function placeOf(index: number): string {
  return `sounds[${index}].file`;
}

function refuse(path: string, what: string): never {
  throw new Failure("scene-invalid", `scene: ${path} ${what}`);
}
