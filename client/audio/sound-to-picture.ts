/**
 * By how much sound is heard after the picture of the same moment is shown, by the stamps of both, and where sound is to
 * be so that it is not. The stamps are of one clock, the agent's; all other times are of the page's. Pure.
 */
import { AUDIO_CODEC_DELAY_FRAMES } from "#contracts/media/audio.ts";
import { WINDOW_SAMPLES_MAX } from "../latency/latency.ts";

/** Half a second to a second of pictures: a single late one moves no sound. */
const PICTURES_JUDGED = 31;
/** Of the audio thread, ten a second: what it says of its clock comes by its buffers. */
const REPORTS_JUDGED = 9;

export interface ShownPicture {
  readonly stampMs: number;
  readonly shownAtMs: number;
}

/** Frames of the audio device's clock, and when what is played then is heard. */
export interface HeardFrame {
  readonly clockFrame: number;
  readonly heardAtMs: number;
}

/** All in milliseconds. */
export interface OffsetPercentiles {
  readonly p5: number;
  readonly p50: number;
  readonly p95: number;
}

export interface SoundToPicture {
  /** A picture is shown for the first time; with the stamp of the sound that is heard then, `undefined` in silence. */
  shown(picture: ShownPicture, heardStampMs: number | undefined): void;
  /** How far the ring is to be ahead of the clock: `AudioRing.aim`. `undefined` while nothing is known. */
  leadFrames(heard: HeardFrame, frameOf: (stampMs: number) => number | undefined): number | undefined;
  /** Above 0 the picture is first; `undefined` before the first picture that was seen with sound. */
  offsetMs(): OffsetPercentiles | undefined;
  /** The device's clock stood still. */
  interrupted(): void;
  /** Stamps are of another clock from now on. */
  restart(): void;
}

export function createSoundToPicture(): SoundToPicture {
  const [delaysMs, leads] = [createMedian(PICTURES_JUDGED), createMedian(REPORTS_JUDGED)];
  const offsetsMs: number[] = [];
  let seen = 0;
  return {
    shown({ stampMs, shownAtMs }, heardStampMs) {
      delaysMs.add(shownAtMs - stampMs);
      if (heardStampMs === undefined) return;
      offsetsMs[seen % WINDOW_SAMPLES_MAX] = stampMs - heardStampMs;
      seen += 1;
    },
    leadFrames({ clockFrame, heardAtMs }, frameOf) {
      const delayMs = delaysMs.value();
      const frame = delayMs === undefined ? undefined : frameOf(heardAtMs - delayMs);
      if (frame !== undefined) leads.add(frame + AUDIO_CODEC_DELAY_FRAMES - clockFrame);
      return leads.value();
    },
    offsetMs: () => (offsetsMs.length === 0 ? undefined : percentilesOf(offsetsMs)),
    interrupted: leads.clear,
    restart() {
      delaysMs.clear();
      leads.clear();
      offsetsMs.length = 0;
      seen = 0;
    },
  };
}

function percentilesOf(values: readonly number[]): OffsetPercentiles {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = (ratio: number): number => sorted[Math.max(0, Math.ceil(sorted.length * ratio) - 1)] ?? 0;
  return { p5: rank(0.05), p50: rank(0.5), p95: rank(0.95) };
}

/** Of so many of the last. */
function createMedian(countMax: number) {
  const values: number[] = [];
  return {
    add(value: number): void {
      values.push(value);
      if (values.length > countMax) values.shift();
    },
    value: (): number | undefined => values.toSorted((a, b) => a - b)[values.length >> 1],
    clear(): void {
      values.length = 0;
    },
  };
}
