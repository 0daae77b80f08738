/** Fuzzes packets of sound: what is read of one, and what a client's receiver and ring make of many. */
import { createAudioReceiver } from "#client/audio/audio-receiver.ts";
import { AudioRing } from "#client/audio/audio-ring.ts";
import {
  AUDIO_BLOCK_FRAMES,
  AUDIO_BYTES_MAX,
  decodeAudio,
  encodeAudio,
  OPUS_BYTES_MAX,
} from "#contracts/media/audio.ts";
import type { Random } from "#platform/random.ts";
import { isOnceIn, mutatedBytes, pick } from "./mutations.ts";
import { check, type FuzzTarget, isIn, type Outcome, readOrRefused } from "./target.ts";

const PACKETS = 24;
const CALL_FRAMES = 128;
/** In calls of the audio thread. */
const WAITS = [0, 1, 4, 4, 4, 40];
const RING = {
  ...{ capacityFrames: 4_800, lowFrames: 960, highFrames: 1_920, stepFrames: 240 },
  ...{ calmFrames: 96_000, marginFrames: 240, bandFrames: 144, rateRatioMax: 0.005 },
};
const ONES = new Float32Array(AUDIO_BLOCK_FRAMES).fill(1);

export const MEDIA_SOUND: readonly FuzzTarget[] = [
  { name: "sound", share: 100, run: tryPacket },
  { name: "sounds", share: 4, run: tryPackets },
];

function opusOf(random: Random): Uint8Array {
  return random.bytes(1 + random.integer(isOnceIn(random, 20) ? OPUS_BYTES_MAX : 60));
}

function packetOf(random: Random, sequence: number, stampMs: number): Uint8Array<ArrayBuffer> {
  const packet = { sequence, stampMs, opus: opusOf(random), isLast: isOnceIn(random, 8) };
  return encodeAudio(isOnceIn(random, 2) ? packet : { ...packet, previousOpus: opusOf(random) });
}

function tryPacket(random: Random): Outcome {
  const valid = packetOf(random, 1 + random.integer(2 ** 32 - 1), random.ratio() * 2e12);
  const isValid = isOnceIn(random, 4);
  const bytes = isValid
    ? valid
    : isOnceIn(random, 50)
      ? random.bytes(random.integer(AUDIO_BYTES_MAX + 20))
      : mutatedBytes(random, valid);
  const packet = readOrRefused(() => decodeAudio(bytes), "media-invalid");
  check(packet !== undefined || !isValid, "what was encoded is refused");
  if (packet === undefined) return "refused";
  const { sequence, stampMs, opus, previousOpus } = packet;
  check(isIn(sequence, 1, 2 ** 32 - 1) && isIn(stampMs, 0, Number.MAX_SAFE_INTEGER), "numbers that are none");
  for (const one of [opus, previousOpus ?? opus]) check(isIn(one.byteLength, 1, OPUS_BYTES_MAX), "Opus of no size");
  check(Buffer.compare(encodeAudio(packet), bytes) === 0, "it is not what it was read from");
  return "taken";
}

/** Packets of a sender that tells any stamps, as a client plays them: never twice, never backwards, never louder. */
function tryPackets(random: Random): Outcome {
  const ring = new AudioRing(RING);
  let lastIndex = -1;
  const receiver = createAudioReceiver({
    openDecoder: ({ onBlock, onError }) => ({
      decode(index) {
        check(Number.isSafeInteger(index) && index > lastIndex, `block ${index} after ${lastIndex}`);
        lastIndex = index;
        if (isOnceIn(random, 30)) onError();
        else onBlock({ index, left: ONES, right: ONES });
      },
      close: () => undefined,
    }),
    onBlock: ({ index, left, right }) => ring.write(index * AUDIO_BLOCK_FRAMES, left, right),
    onRest: (frame) => ring.restAt(frame),
  });
  const play = createPlayer(ring);
  let [sequence, stampMs] = [1 + random.integer(isOnceIn(random, 10) ? 2 ** 32 - 1 : 5), random.ratio() * 2e12];
  for (let count = 0; count < PACKETS; count += 1) {
    const bytes = packetOf(random, Math.min(sequence, 2 ** 32 - 1), Math.min(stampMs, Number.MAX_SAFE_INTEGER));
    receiver.add(isOnceIn(random, 6) ? mutatedBytes(random, bytes) : bytes);
    sequence += isOnceIn(random, 10) ? random.integer(2 ** 16) : 1;
    stampMs += isOnceIn(random, 10) ? pick(random, [0, 5, 20, 1_000, 1e9, 2 ** 53]) : 10;
    if (isOnceIn(random, 6))
      ring.aim(isOnceIn(random, 6) ? undefined : pick(random, [0, -960, 1e6, -1e6, random.ratio() * 1e12]));
    play(pick(random, WAITS));
  }
  const { packetsReceived } = receiver.counts();
  receiver.close();
  return packetsReceived > 1 ? "taken" : "refused";
}

function createPlayer(ring: AudioRing): (calls: number) => void {
  const [left, right] = [new Float32Array(CALL_FRAMES), new Float32Array(CALL_FRAMES)];
  let [clockFrame, lastPosition] = [0, -1];
  return (calls) => {
    for (let call = 0; call < calls; call += 1) {
      ring.read(left, right, clockFrame);
      clockFrame += CALL_FRAMES;
      for (const value of left) check(isIn(value, -0.2, 1.2), `a sample of ${value}`);
      const { position, levelFrames } = ring;
      check(isIn(levelFrames, -AUDIO_BLOCK_FRAMES, RING.capacityFrames), `${levelFrames} frames are held`);
      if (position === undefined) continue;
      check(position >= lastPosition, `${position} after ${lastPosition}`);
      lastPosition = position;
    }
  };
}
