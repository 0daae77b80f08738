/** Mixes the sounds of a scene into blocks of 10 ms: 48 kHz, stereo, left and right in turn. Pure but for where each sound is. */
import { AUDIO_BLOCK_FRAMES } from "#contracts/media/audio.ts";
import type { Vector3 } from "#contracts/media/space.ts";
import { type EarGains, earGainsOf, type Head } from "./placing.ts";
import type { Sound } from "./scene-sounds.ts";
import { SOUND_FLOATS } from "./sound-state.ts";

const FULL_SCALE = 32_768;
const MIDDLE: Head = { position: { x: 0, y: 1.6, z: 0 }, orientation: { x: 0, y: 0, z: 0, w: 1 } };

interface Voice {
  readonly sound: Sound;
  /** Highest count of starts that was seen. */
  starts: number;
  /** The next sample; `undefined` while it is silent. */
  at: number | undefined;
  /** It is silent by the end of the next block. */
  isStopping: boolean;
  /** What it had at the end of the last block; `undefined` before its first. */
  ears: EarGains | undefined;
  gain: number;
  position: Vector3;
}

export type Block = Float32Array<ArrayBuffer>;

export class Mixer {
  readonly #voices: readonly Voice[];
  readonly #block: Block = new Float32Array(AUDIO_BLOCK_FRAMES * 2);
  #head = MIDDLE;

  constructor(sounds: readonly Sound[]) {
    this.#voices = sounds.map((sound) => {
      const silent = { starts: 0, at: undefined, isStopping: false, ears: undefined, gain: 0 };
      return { sound, ...silent, position: MIDDLE.position };
    });
  }

  /** Of `SOUND_FLOATS` each. */
  apply(values: Float32Array): void {
    for (const [index, voice] of this.#voices.entries()) {
      const [x = 0, y = 0, z = 0, gain = 0, starts = 0] = values.subarray(index * SOUND_FLOATS);
      voice.position = { x, y, z };
      voice.gain = gain;
      voice.isStopping = starts < 0;
      if (starts > voice.starts) {
        voice.at = 0;
        voice.ears = undefined;
      }
      voice.starts = Math.max(voice.starts, Math.abs(starts));
    }
  }

  setHead({ position, orientation }: Head): void {
    this.#head = { position, orientation };
  }

  /** Whether anything sounds, however quietly. */
  get isActive(): boolean {
    return this.#voices.some(({ at }) => at !== undefined);
  }

  /** Good until the next call. Gains reach their new values by the block's end, so that nothing clicks. */
  mix(): Block {
    this.#block.fill(0);
    for (const voice of this.#voices) if (voice.at !== undefined) this.#add(voice, voice.at);
    for (const [index, value] of this.#block.entries()) {
      // Sums beyond full scale are clipped.
      if (value > 1 || value < -1) this.#block[index] = Math.sign(value);
    }
    return this.#block;
  }

  /** Time passes, and nobody hears it. */
  elapse(blocks: number): void {
    for (const voice of this.#voices) {
      if (voice.at === undefined) continue;
      const { samples, loop } = voice.sound;
      const at = voice.at + blocks * AUDIO_BLOCK_FRAMES;
      const isOver = voice.isStopping || (!loop && at >= samples.length);
      voice.at = isOver ? undefined : at % samples.length;
      voice.ears = undefined;
    }
  }

  #add(voice: Voice, start: number): void {
    const { samples, loop } = voice.sound;
    const gain = voice.isStopping ? 0 : voice.gain;
    const placed = earGainsOf(voice.position, this.#head);
    const to: EarGains = { left: placed.left * gain, right: placed.right * gain };
    const from = voice.ears ?? to;
    const block = this.#block;
    let at = start;
    for (let frame = 0; frame < AUDIO_BLOCK_FRAMES && at < samples.length; frame += 1) {
      const part = (frame + 1) / AUDIO_BLOCK_FRAMES;
      const sample = (samples[at] ?? 0) / FULL_SCALE;
      block[frame * 2] = (block[frame * 2] ?? 0) + sample * (from.left + (to.left - from.left) * part);
      block[frame * 2 + 1] = (block[frame * 2 + 1] ?? 0) + sample * (from.right + (to.right - from.right) * part);
      at += 1;
      if (loop && at === samples.length) at = 0;
    }
    voice.ears = to;
    voice.at = voice.isStopping || at >= samples.length ? undefined : at;
  }
}
