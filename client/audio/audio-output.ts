/** What is decoded goes to the audio thread, and from there to the loudspeakers; when each frame is heard comes back. */
import { AUDIO_BLOCK_FRAMES, AUDIO_SAMPLE_RATE_HZ } from "#contracts/media/audio.ts";
import { type ClientClock, startEpochMs } from "../clock.ts";
import type { AudioBlock } from "./audio-receiver.ts";
import { AudioRing, type RingCounts, type RingOptions } from "./audio-ring.ts";

const FRAMES_PER_MS = AUDIO_SAMPLE_RATE_HZ / 1000;
/** A block and what it may be late by; more once that was too little. Nobody tells 3 ms of sound from none. */
const RING_MS = { low: 20, high: 40, step: 5, margin: 5, band: 3, capacity: 100 } as const;
/** What was too little once is tried again. */
const CALM_SECONDS = 2;
/** An eighth of a semitone is not heard; crystals differ by a fiftieth of that. */
const RATE_RATIO_MAX = 0.005;
export const AUDIO_RING_OPTIONS: RingOptions = {
  capacityFrames: RING_MS.capacity * FRAMES_PER_MS,
  lowFrames: RING_MS.low * FRAMES_PER_MS,
  highFrames: RING_MS.high * FRAMES_PER_MS,
  stepFrames: RING_MS.step * FRAMES_PER_MS,
  calmFrames: CALM_SECONDS * AUDIO_SAMPLE_RATE_HZ,
  marginFrames: RING_MS.margin * FRAMES_PER_MS,
  bandFrames: RING_MS.band * FRAMES_PER_MS,
  rateRatioMax: RATE_RATIO_MAX,
};
/** Devices open in a tenth of it; where a person has to act first, nothing comes. */
const BEGIN_MS_MAX = 1_000;
/** In calls of 128 frames: ten times a second. */
const REPORT_CALLS = 37;

/** What the audio thread says: where it was at a time of the context. */
export interface RingReport {
  readonly timeSeconds: number;
  readonly position: number | undefined;
  readonly levelFrames: number;
  readonly counts: RingCounts;
}

/** A newer one is there; about ten times a second, and not while the device rests. */
export type OnReport = () => void;

export interface AudioOutput {
  /** False where the browser has not let it begin: a person has to act first. */
  begin(): Promise<boolean>;
  write(block: AudioBlock): void;
  restAt(frame: number): void;
  /** Another connection: places begin anew. */
  restart(): void;
  /** As of the ring. */
  aim(leadFrames: number): void;
  report(): RingReport | undefined;
  /** When what the ring gives out at a time of the context is heard, by the page's clock. */
  heardAtMs(contextSeconds: number): number;
  suspend(): void;
  close(): void;
}

/** Of the audio thread, whose global names are not those of a page. */
const WORKLET = (ring: string): string => `const Ring = ${ring};
registerProcessor("perigee-ring", class extends AudioWorkletProcessor {
  constructor({ processorOptions: { options, every } }) {
    super();
    this.ring = new Ring(options);
    this.calls = 0;
    this.port.onmessage = ({ data }) => {
      if (data.kind === "block") this.ring.write(data.at, data.left, data.right);
      else if (data.kind === "rest") this.ring.restAt(data.at);
      else if (data.kind === "aim") this.ring.aim(data.leadFrames);
      else this.ring = new Ring(options);
    };
    this.every = every;
  }
  process(_inputs, [[left, right]]) {
    const { position } = this.ring;
    if (this.calls % this.every === 0) this.port.postMessage({
      timeSeconds: currentTime, position, levelFrames: this.ring.levelFrames, counts: this.ring.counts,
    });
    this.calls += 1;
    this.ring.read(left, right, currentFrame);
    return true;
  }
});`;

/**
 * To be called in a person's act: browsers let sound begin in no other. Rejects where the page's policy does not let the
 * audio thread have its script: it has to take scripts of `blob:`.
 */
export async function openAudioOutput(clock: ClientClock, onReport: OnReport): Promise<AudioOutput> {
  // As little as the device can do: "interactive" has a device hold up to 30 ms more, which no ring can make up for.
  const context = new AudioContext({ sampleRate: AUDIO_SAMPLE_RATE_HZ, latencyHint: 0 });
  void context.resume();
  try {
    return outputOf(context, await openRing(context), { clock, onReport });
  } catch (error) {
    void context.close();
    throw error;
  }
}

async function openRing(context: AudioContext): Promise<AudioWorkletNode> {
  const url = URL.createObjectURL(new Blob([WORKLET(String(AudioRing))], { type: "text/javascript" }));
  try {
    await context.audioWorklet.addModule(url);
  } finally {
    URL.revokeObjectURL(url);
  }
  return new AudioWorkletNode(context, "perigee-ring", {
    numberOfInputs: 0,
    outputChannelCount: [2],
    processorOptions: { options: AUDIO_RING_OPTIONS, every: REPORT_CALLS },
  });
}

interface OutputPorts {
  readonly clock: ClientClock;
  readonly onReport: OnReport;
}

function outputOf(context: AudioContext, node: AudioWorkletNode, { clock, onReport }: OutputPorts): AudioOutput {
  const epochMs = startEpochMs(clock);
  let newest: RingReport | undefined;
  let isResting = false;
  node.port.onmessage = ({ data }: MessageEvent<RingReport>) => {
    if (isResting) return;
    newest = data;
    onReport();
  };
  node.connect(context.destination);
  return {
    async begin() {
      isResting = false;
      // Where sound may not begin, browsers keep the promise open.
      await Promise.race([context.resume(), clock.sleep(BEGIN_MS_MAX)]);
      return context.state === "running";
    },
    write: ({ index, left, right }) =>
      node.port.postMessage({ kind: "block", at: index * AUDIO_BLOCK_FRAMES, left, right }, [
        left.buffer,
        right.buffer,
      ]),
    restAt: (at) => node.port.postMessage({ kind: "rest", at }),
    restart() {
      newest = undefined;
      node.port.postMessage({ kind: "restart" });
    },
    aim: (leadFrames) => node.port.postMessage({ kind: "aim", leadFrames }),
    report: () => newest,
    heardAtMs: (contextSeconds) => epochMs() + (contextSeconds - heardSeconds(context, clock)) * 1000,
    suspend() {
      // What was heard then says nothing of what is heard after it.
      isResting = true;
      newest = undefined;
      node.port.postMessage({ kind: "aim" });
      void context.suspend();
    },
    close: () => void context.close(),
  };
}

/** The time of the context that is heard now. */
function heardSeconds(context: AudioContext, clock: ClientClock): number {
  const { contextTime = 0, performanceTime = 0 } = context.getOutputTimestamp();
  if (performanceTime === 0) return context.currentTime - context.baseLatency;
  return contextTime + (clock.monotonicMs() - performanceTime) / 1000;
}
