/** What comes by one connection after the other is heard by one output, each moment of it when its picture is shown. */
import { AUDIO_CODEC_DELAY_FRAMES, AUDIO_SAMPLE_RATE_HZ } from "#contracts/media/audio.ts";
import type { AudioOutput, OnReport } from "./audio-output.ts";
import {
  type AudioCounts,
  type AudioReceiver,
  type AudioReceiverPorts,
  createAudioReceiver,
} from "./audio-receiver.ts";
import type { RingCounts } from "./audio-ring.ts";
import { createSoundToPicture, type OffsetPercentiles, type ShownPicture } from "./sound-to-picture.ts";

const NOTHING_HEARD: RingCounts = { blocksLate: 0, underruns: 0, overruns: 0 };
const NOTHING_RECEIVED: AudioCounts = { packetsReceived: 0, packetsLost: 0, packetsRepaired: 0, packetsLate: 0 };

export interface PlaybackPorts {
  readonly openDecoder: AudioReceiverPorts["openDecoder"];
  /** Called in a person's act. */
  readonly openOutput: (onReport: OnReport) => Promise<AudioOutput>;
}

export interface Playback {
  /** False where the browser has not let it begin. */
  begin(): Promise<boolean>;
  suspend(): void;
  addPacket(bytes: Uint8Array): void;
  /** Packets, and pictures, come by another connection from now on. */
  restart(): void;
  pictureShown(picture: ShownPicture): void;
  offsetMs(): OffsetPercentiles | undefined;
  statistics(): AudioCounts & RingCounts & { readonly bufferMs: number };
  close(): void;
}

export function createPlayback({ openDecoder, openOutput }: PlaybackPorts): Playback {
  const soundToPicture = createSoundToPicture();
  let output: AudioOutput | undefined;
  let receiver: AudioReceiver | undefined;
  let [isAimed, isClosed] = [false, false];
  const aim = (): void => {
    const report = output?.report();
    if (output === undefined || report === undefined || receiver === undefined) return;
    const { timeSeconds } = report;
    const heard = { clockFrame: timeSeconds * AUDIO_SAMPLE_RATE_HZ, heardAtMs: output.heardAtMs(timeSeconds) };
    const leadFrames = soundToPicture.leadFrames(heard, receiver.frameOf);
    if (leadFrames === undefined) return;
    output.aim(leadFrames);
    isAimed = true;
  };
  return {
    async begin() {
      output ??= await openOutput(aim);
      if (isClosed) output.close();
      return !isClosed && (await output.begin());
    },
    suspend() {
      soundToPicture.interrupted();
      isAimed = false;
      output?.suspend();
    },
    addPacket(bytes) {
      receiver ??= createAudioReceiver({
        openDecoder,
        onBlock(block) {
          // The first is heard in its place already.
          if (!isAimed) aim();
          output?.write(block);
        },
        onRest: (frame) => output?.restAt(frame),
      });
      receiver.add(bytes);
    },
    restart() {
      receiver?.close();
      receiver = undefined;
      soundToPicture.restart();
      isAimed = false;
      output?.restart();
    },
    pictureShown(picture) {
      soundToPicture.shown(picture, output && receiver && heardStampMs(output, receiver, picture.shownAtMs));
    },
    offsetMs: soundToPicture.offsetMs,
    statistics() {
      const report = output?.report();
      const bufferMs = ((report?.levelFrames ?? 0) * 1000) / AUDIO_SAMPLE_RATE_HZ;
      return { ...NOTHING_RECEIVED, ...receiver?.counts(), ...(report?.counts ?? NOTHING_HEARD), bufferMs };
    },
    close() {
      isClosed = true;
      receiver?.close();
      output?.close();
    },
  };
}

/** The stamp of what is heard at a time near now; `undefined` in silence. */
function heardStampMs(output: AudioOutput, { stampMsOf }: AudioReceiver, atMs: number): number | undefined {
  const { position, timeSeconds = 0 } = output.report() ?? {};
  if (position === undefined) return undefined;
  const sinceMs = atMs - output.heardAtMs(timeSeconds);
  return stampMsOf(position + (sinceMs / 1000) * AUDIO_SAMPLE_RATE_HZ - AUDIO_CODEC_DELAY_FRAMES);
}
