/**
 * Sound beside pictures on a clock of its own, from packets to what the device plays: when each moment of it is heard, by
 * the samples themselves, against when its picture is shown.
 */
import fc from "fast-check";
import t from "tap";
import { AUDIO_BLOCK_FRAMES, AUDIO_CODEC_DELAY_FRAMES, encodeAudio } from "#contracts/media/audio.ts";
import { AUDIO_RING_OPTIONS, type AudioOutput, type RingReport } from "./audio-output.ts";
import type { BlockDecoder, BlockDecoderEvents } from "./audio-receiver.ts";
import { AudioRing } from "./audio-ring.ts";
import { createPlayback } from "./playback.ts";

const FRAMES_PER_MS = 48;
const CALL = 128;
const REPORT_CALLS = 37;
/** The agent's clock is behind. */
const AGENT_MS = -4_321.5;
const PERIOD_MS = 1_000 / 60;

interface Session {
  /** From a picture's stamp to its being shown, and from a block's to its being decoded. */
  readonly pictureMs: number;
  readonly soundMs: number;
  /** Of both, beyond that; taken in turn. */
  readonly jitterMs: readonly number[];
  /** Of the sound device: what it holds, and by how much its clock runs faster. */
  readonly deviceMs: number;
  readonly driftRatio: number;
  /** Packets; the one before is repeated in each. */
  readonly isLost?: (packet: number) => boolean;
}

/** Blocks whose samples say which frame they are. */
function openNumbering({ onBlock }: BlockDecoderEvents): BlockDecoder {
  return {
    decode(index) {
      const left = Float32Array.from({ length: AUDIO_BLOCK_FRAMES }, (_, at) => index * AUDIO_BLOCK_FRAMES + at);
      onBlock({ index, left, right: Float32Array.from(left) });
    },
    close: () => undefined,
  };
}

/** A device by the page's clock. */
function openDevice({ deviceMs, driftRatio }: Session, onReport: () => void) {
  const ring = new AudioRing(AUDIO_RING_OPTIONS);
  const buffers = [new Float32Array(CALL), new Float32Array(CALL)] as const;
  const framesPerMs = FRAMES_PER_MS * (1 + driftRatio);
  /** What is first in each call. */
  const played: number[] = [];
  let report: RingReport | undefined;
  const output: AudioOutput = {
    begin: async () => true,
    write: ({ index, left, right }) => ring.write(index * AUDIO_BLOCK_FRAMES, left, right),
    restAt: (frame) => ring.restAt(frame),
    aim: (leadFrames) => ring.aim(leadFrames),
    restart: () => undefined,
    report: () => report,
    heardAtMs: (contextSeconds) => (contextSeconds * 1000 * FRAMES_PER_MS) / framesPerMs + deviceMs,
    suspend: () => undefined,
    close: () => undefined,
  };
  return {
    ...{ output, ring, played },
    callMs: CALL / framesPerMs,
    call() {
      const clockFrame = played.length * CALL;
      const { position, levelFrames, counts } = ring;
      ring.read(...buffers, clockFrame);
      const isReported = played.length % REPORT_CALLS === 0;
      played.push(buffers[0][0] ?? 0);
      if (!isReported) return;
      report = { timeSeconds: clockFrame / (FRAMES_PER_MS * 1000), position, levelFrames, counts };
      onReport();
    },
    /** The sample that is heard at a time. */
    heardAt: (atMs: number): number => played[Math.round(((atMs - deviceMs) * framesPerMs) / CALL)] ?? 0,
  };
}

/** `offsetsMs`: of each picture of the second half, how much later sound was heard; by the samples played, not by reports. */
async function run(session: Session, seconds: number) {
  const { pictureMs, soundMs, jitterMs, isLost = () => false } = session;
  let aim = (): void => undefined;
  const device = openDevice(session, () => aim());
  const playback = createPlayback({
    openDecoder: openNumbering,
    async openOutput(onReport) {
      aim = onReport;
      return device.output;
    },
  });
  await playback.begin();
  const late = (index: number): number => jitterMs[index % jitterMs.length] ?? 0;
  const opus = Uint8Array.of(1);
  const shown: { readonly stampMs: number; readonly shownAtMs: number }[] = [];
  let [packet, picture] = [0, 0];
  while (device.played.length * device.callMs < seconds * 1000) {
    const nowMs = device.played.length * device.callMs;
    while (packet * 10 + soundMs + late(packet) <= nowMs) {
      const stampMs = AGENT_MS + 10_000 + packet * 10;
      const bytes = encodeAudio({ sequence: packet + 1, stampMs, opus, previousOpus: opus, isLast: false });
      if (!isLost(packet)) playback.addPacket(bytes);
      packet += 1;
    }
    while (picture * PERIOD_MS + pictureMs + late(picture) <= nowMs) {
      const stampMs = AGENT_MS + 10_000 + picture * PERIOD_MS;
      const shownAtMs = picture * PERIOD_MS + pictureMs + late(picture);
      playback.pictureShown({ stampMs, shownAtMs });
      shown.push({ stampMs, shownAtMs });
      picture += 1;
    }
    device.call();
  }
  const offsetsMs = shown.slice(shown.length / 2).flatMap(({ stampMs, shownAtMs }) => {
    const frame = device.heardAt(shownAtMs);
    // Frame 0 of the first block is what the agent made for its stamp.
    const heardStampMs = AGENT_MS + 10_000 + (frame - AUDIO_CODEC_DELAY_FRAMES) / FRAMES_PER_MS;
    return frame === 0 || shownAtMs > nowOf(device) ? [] : [stampMs - heardStampMs];
  });
  return { offsetsMs: offsetsMs.sort((a, b) => a - b), told: playback.offsetMs(), counts: device.ring.counts };
}

const nowOf = ({ played, callMs }: ReturnType<typeof openDevice>): number => (played.length - 1) * callMs;
const medianOf = (sorted: readonly number[]): number => sorted[sorted.length >> 1] ?? Number.NaN;
const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** What is left with the ring as near to the picture as its bounds let it. */
function leftMs({ pictureMs, soundMs, jitterMs, deviceMs }: Session): number {
  // A block is made when it begins, so that on average half of it is ahead of its stamp.
  const levelLessMs = soundMs + meanOf(jitterMs) - 5 + AUDIO_CODEC_DELAY_FRAMES / FRAMES_PER_MS + deviceMs;
  const wantedMs = pictureMs + medianOf(jitterMs.toSorted((a, b) => a - b)) - levelLessMs;
  return Math.max(20, Math.min(40, wantedMs)) - wantedMs;
}

const SESSIONS = fc.record({
  pictureMs: fc.double({ min: 15, max: 75, noNaN: true }),
  soundMs: fc.double({ min: 0.5, max: 12, noNaN: true }),
  jitterMs: fc.array(fc.double({ min: 0, max: 3, noNaN: true }), { minLength: 1, maxLength: 30 }),
  deviceMs: fc.double({ min: 3, max: 40, noNaN: true }),
  driftRatio: fc.double({ min: -500e-6, max: 500e-6, noNaN: true }),
});
/** The ring's band, a call, and what clocks drift and jitter hides. */
const NEAR_MS = 3 + 3;

t.test("sound is heard with its picture, as near as the ring's bounds let it, by the samples", async (t) => {
  await fc.assert(
    fc.asyncProperty(SESSIONS, async (session) => {
      const { offsetsMs, told, counts } = await run(session, 16);
      const [median, left] = [medianOf(offsetsMs), leftMs(session)];
      if (!(Math.abs(median - left) <= NEAR_MS)) throw new Error(`${median} ms, not ${left}`);
      if (counts.underruns + counts.overruns > 0) throw new Error(JSON.stringify(counts));
      if (told === undefined || !(Math.abs(told.p50 - median) <= NEAR_MS)) throw new Error(`told ${told?.p50}`);
    }),
    { numRuns: 25 },
  );
  t.pass();
});

t.test("a twentieth of the packets lost, alone, moves nothing and mutes nothing", async (t) => {
  const session = { pictureMs: 40, soundMs: 2, jitterMs: [0, 1, 2, 1], deviceMs: 8, driftRatio: 300e-6 };
  const { offsetsMs, counts } = await run({ ...session, isLost: (packet) => packet % 20 === 7 }, 30);
  t.ok(
    (offsetsMs[0] ?? Number.NaN) > -NEAR_MS && (offsetsMs.at(-1) ?? Number.NaN) < NEAR_MS,
    `${offsetsMs[0]}..${offsetsMs.at(-1)} ms`,
  );
  t.same(counts, { blocksLate: 0, underruns: 0, overruns: 0 });
});

/** A picture's path to its drawing; light leaves a display of 60 Hz a frame later. */
for (const [pathMs, deviceMs, expectedMs] of [
  [8, 8, 3],
  [16, 8, 0],
  [30, 8, 0],
  [8, 32, 27],
  [16, 32, 19],
  [30, 32, 5],
] as const) {
  t.test(`a picture's path of ${pathMs} ms and a device of ${deviceMs} ms leave ${expectedMs} ms`, async (t) => {
    const session = { pictureMs: pathMs + PERIOD_MS, soundMs: 2, jitterMs: [0], deviceMs, driftRatio: 0 };
    const { offsetsMs, told } = await run(session, 12);
    const [earliest = Number.NaN, latest = Number.NaN] = [offsetsMs[0], offsetsMs.at(-1)];
    t.comment(`${earliest.toFixed(1)}..${latest.toFixed(1)} ms, told ${JSON.stringify(told)}`);
    t.ok(Math.abs(leftMs(session) - expectedMs) < 1, `${leftMs(session)} ms`);
    t.ok(earliest > expectedMs - NEAR_MS && latest < expectedMs + NEAR_MS);
    t.ok(earliest > -20 && latest < 45);
  });
}
