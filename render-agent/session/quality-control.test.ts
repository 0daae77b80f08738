/** What rate control decides is applied: bit rate at once, size with a key frame of that size, rate by the pace. */
import t from "tap";
import { decodeFrame, type Frame } from "#contracts/media/frame.ts";
import type { PoseMessage } from "#contracts/media/pose.ts";
import { Failure } from "#domain/failure.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { type Encoder, type EncoderOptions, type EncodingRate, fullBitRateOf } from "../encoder/encoder.ts";
import { FramePipeline } from "./pipeline.ts";
import { QualityControl } from "./quality-control.ts";

const RENDER_CLASS = { name: "large", eyeWidthPixels: 640, eyeHeightPixels: 720, frameRateHz: 40 };
const FULL = fullBitRateOf({ widthPixels: 1280, heightPixels: 720, frameRateHz: 40 }, "h264");
const eye = { offset: { x: 0, y: 0, z: 0 }, fieldOfView: { left: 1, right: 1, up: 1, down: 1 } };
const poseOf = (poseId: number): PoseMessage => ({
  ...{ poseId, sampledAtMs: poseId, position: { x: 0, y: 0, z: 0 }, orientation: { x: 0, y: 0, z: 0, w: 1 } },
  eyes: [eye, eye],
});

/** Remembers what it is told; its access units say how large it is. */
class SimulatedEncoder implements Encoder {
  readonly codec = "h264";
  readonly rates: EncodingRate[] = [];
  readonly #blocks: Uint8Array;
  isDisposed = false;

  constructor({ widthPixels, heightPixels, bitsPerSecond, frameRateHz }: EncoderOptions) {
    this.#blocks = new Uint8Array([widthPixels / 16, heightPixels / 16]);
    this.rates.push({ bitsPerSecond, frameRateHz });
  }

  encode(_pixels: Uint8Array, key: boolean) {
    return { bytes: this.#blocks, key };
  }

  setRate(rate: EncodingRate): void {
    this.rates.push(rate);
  }

  [Symbol.dispose](): void {
    this.isDisposed = true;
  }
}

function openSession() {
  const clock = new VirtualClock();
  const encoders: SimulatedEncoder[] = [];
  const frames: Frame[] = [];
  const resized: number[][] = [];
  const state = { takes: true, canOpen: true, opened: 0 };
  const open = (options: EncoderOptions): SimulatedEncoder => {
    const opened = new SimulatedEncoder(options);
    encoders.push(opened);
    return opened;
  };
  const encoder = open({ widthPixels: 1280, heightPixels: 720, frameRateHz: 40, bitsPerSecond: FULL });
  const pipeline = new FramePipeline({
    clock,
    renderer: {
      render: async () => ({ pixels: new Uint8Array(4), [Symbol.dispose]: () => undefined }),
      resize: (width, height) => void resized.push([width, height]),
    },
    encoder,
    renderClass: RENDER_CLASS,
    takesFrame: () => true,
    sendFrame(frameNumber, bytes) {
      quality.noteFrame(frameNumber, state.takes);
      if (state.takes) frames.push(decodeFrame(bytes));
      return state.takes;
    },
  });
  const quality = new QualityControl({
    ...{ clock, pipeline, renderClass: RENDER_CLASS, encoder },
    async openEncoder(options) {
      state.opened += 1;
      if (!state.canOpen) throw new Failure("encoder-unavailable", "no more of them");
      return open(options);
    },
  });
  let poseId = 0;
  /** Poses every 5 ms; reports of frames that took so long, every 100 ms, unless it says nothing. */
  const run = async (forMs: number, networkMs: number | undefined): Promise<void> => {
    for (let ms = 0; ms < forMs; ms += 5) {
      poseId += 1;
      void pipeline.offerPose(poseOf(poseId));
      const before = frames.length;
      await clock.advance(5);
      const newest = frames.at(-1)?.header.frameNumber ?? 0;
      if (networkMs === undefined || ms % 100 !== 95 || before === 0) continue;
      quality.report({ newestFrame: newest, framesArrived: 4, bytes: 4_000, spanMs: 100, networkMsMin: networkMs });
    }
  };
  return { clock, encoders, frames, resized, state, pipeline, quality, run };
}

t.test(
  "before there is a client the encoder is as it was opened; with one it begins at a quarter and grows",
  async (t) => {
    const { encoders, quality, run } = openSession();
    t.equal(encoders[0]?.rates.length, 1);
    quality.restart();
    t.same(encoders[0]?.rates.at(-1), { bitsPerSecond: FULL / 4, frameRateHz: 40 });
    await run(3_000, 10);
    t.same(encoders[0]?.rates.at(-1), { bitsPerSecond: FULL, frameRateHz: 40 });
    t.equal(encoders.length, 1, "at the full size");
  },
);

t.test(
  "delay that stays lowers bits, then size, then rate; each size is of one encoder and begins with a key frame",
  async (t) => {
    const { encoders, frames, resized, quality, run, state } = openSession();
    quality.restart();
    await run(2_000, 10);
    let networkMs = 60;
    // It grows with all that is done, so that nothing that is done is enough.
    for (let at = 0; at < 25; at += 1) {
      networkMs *= 1.3;
      await run(200, networkMs);
    }
    t.match(quality.quality, { scaleRatio: 0.5, frameRateHz: 20 });
    const sizes = frames.map(({ header }) => header.eyeWidthPixels);
    t.same([...new Set(sizes)].at(-1), 320);
    for (const [at, frame] of frames.entries()) {
      const isNewSize = at === 0 || frame.header.eyeWidthPixels !== frames[at - 1]?.header.eyeWidthPixels;
      if (isNewSize) t.ok(frame.header.key, `frame ${frame.header.frameNumber} of a new size stands alone`);
      const [blocksWide, blocksHigh] = frame.accessUnit;
      t.same(
        [blocksWide, blocksHigh],
        [frame.header.eyeWidthPixels / 8, frame.header.eyeHeightPixels / 16],
        "and is its encoder's",
      );
    }
    t.same(resized.at(-1), [320, 368]);
    const before = frames.length;
    await run(1_000, networkMs);
    t.ok(frames.length - before <= 23, `${frames.length - before} frames in a second at half of 40 Hz`);
    await run(15_000, 10);
    t.match(quality.quality, { scaleRatio: 1, frameRateHz: 40 });
    t.equal(frames.at(-1)?.header.eyeWidthPixels, 640);
    t.ok(encoders.length <= 3, `${encoders.length} encoders for three sizes`);
    quality[Symbol.dispose]();
    t.same(
      encoders.map(({ isDisposed }) => isDisposed),
      [false, true, true].slice(0, encoders.length),
      "the first is its owner's",
    );
    t.ok(state.takes);
  },
);

t.test("frames that find no way out lower the rate at once, and so does silence after reports", async (t) => {
  const { encoders, quality, run, state } = openSession();
  quality.restart();
  await run(3_000, 10);
  const rate = () => encoders[0]?.rates.at(-1)?.bitsPerSecond ?? 0;
  state.takes = false;
  await run(50, undefined);
  t.ok(rate() < FULL, "dropped");
  state.takes = true;
  await run(4_000, 10);
  t.equal(rate(), FULL);
  await run(1_000, undefined);
  t.ok(rate() <= FULL / 2, "unanswered");
});

t.test("where no second encoder can be had the size stays, and bits and pace are lowered all the same", async (t) => {
  const { frames, quality, run, encoders, state } = openSession();
  state.canOpen = false;
  quality.restart();
  await run(2_000, 10);
  let networkMs = 60;
  for (let at = 0; at < 25; at += 1) {
    networkMs *= 1.3;
    await run(200, networkMs);
  }
  t.match(quality.quality, { scaleRatio: 0.5, frameRateHz: 20 }, "what is wished");
  t.equal(encoders.length, 1);
  t.equal(state.opened, 1, "it is tried once");
  t.equal(frames.at(-1)?.header.eyeWidthPixels, 640);
  t.same(encoders[0]?.rates.at(-1), { bitsPerSecond: quality.quality.bitsPerSecond, frameRateHz: 20 });
});

t.test("a client that never reports gets the full rate after a while", async (t) => {
  const { encoders, quality, run } = openSession();
  quality.restart();
  await run(2_500, undefined);
  t.equal(encoders[0]?.rates.at(-1)?.bitsPerSecond, FULL / 4);
  await run(1_000, undefined);
  t.equal(encoders[0]?.rates.at(-1)?.bitsPerSecond, FULL);
});

t.test("a report of frames that were never sent changes nothing", async (t) => {
  const { encoders, quality } = openSession();
  quality.restart();
  const before = encoders[0]?.rates.length;
  quality.report({ newestFrame: 1_000_000, framesArrived: 1, bytes: 1, spanMs: 1, networkMsMin: 60_000 });
  t.equal(encoders[0]?.rates.length, before);
});
