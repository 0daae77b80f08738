/** Tones and noise as samples: 48 kHz, one channel, 16 bits. The same each time. Pure. */
import { AUDIO_SAMPLE_RATE_HZ } from "#contracts/media/audio.ts";
import type { SceneSound } from "./sound-schema.ts";

export type Samples = Int16Array<ArrayBuffer>;

const FULL_SCALE = 32_767;
/** Half of full scale: some sounds at once stay below it. */
const LEVEL_RATIO = 0.5;
const SECONDS_DEFAULT = 1;
/** What begins or ends at once clicks. */
const EDGE_SECONDS = 0.003;

type Tone = NonNullable<SceneSound["tone"]>;
type Noise = NonNullable<SceneSound["noise"]>;

/** Where it loops, its frequency is the nearest of which a whole number of periods fits: by 1 Hz at most in a second. */
export function synthesiseTone({ hertz, seconds = SECONDS_DEFAULT, decaySeconds }: Tone, loop: boolean): Samples {
  const length = Math.round(seconds * AUDIO_SAMPLE_RATE_HZ);
  const periods = loop ? Math.max(1, Math.round(hertz * seconds)) : hertz * seconds;
  const wave = (at: number): number => Math.sin((2 * Math.PI * periods * at) / length);
  return shape(length, wave, { decaySeconds, loop });
}

export function synthesiseNoise({ seconds = SECONDS_DEFAULT, decaySeconds }: Noise, loop: boolean): Samples {
  // Numerical Recipes' generator: noise needs no more, and has to be the same each time.
  let state = 1;
  const wave = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  return shape(Math.round(seconds * AUDIO_SAMPLE_RATE_HZ), wave, { decaySeconds, loop });
}

interface Shape {
  readonly decaySeconds: number | undefined;
  readonly loop: boolean;
}

function shape(length: number, wave: (at: number) => number, { decaySeconds, loop }: Shape): Samples {
  const edge = EDGE_SECONDS * AUDIO_SAMPLE_RATE_HZ;
  return Int16Array.from({ length }, (_, at) => {
    const decay = decaySeconds === undefined ? 1 : Math.exp(-at / (decaySeconds * AUDIO_SAMPLE_RATE_HZ));
    const edges = loop ? 1 : Math.min(1, at / edge, (length - at) / edge);
    return Math.round(FULL_SCALE * LEVEL_RATIO * wave(at) * decay * edges);
  });
}
