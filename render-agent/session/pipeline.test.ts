/** The life of a frame with a simulated renderer: newest pose, nothing queued, the class's rate, key frames. */
import fc from "fast-check";
import t from "tap";
import { decodeFrame, type Frame } from "#contracts/media/frame.ts";
import type { PoseMessage } from "#contracts/media/pose.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { nextDueMs, startWindow } from "./pacing.ts";
import { FramePipeline } from "./pipeline.ts";

const eye = { offset: { x: 0, y: 0, z: 0 }, fieldOfView: { left: 1, right: 1, up: 1, down: 1 } };
const poseOf = (poseId: number): PoseMessage => ({
  poseId,
  sampledAtMs: 1_000 + poseId,
  position: { x: 0, y: 0, z: 0 },
  orientation: { x: 0, y: 0, z: 0, w: 1 },
  eyes: [eye, eye],
});

function openPipeline({ renderMs = 0, frameRateHz = 100 } = {}) {
  const clock = new VirtualClock();
  const frames: Frame[] = [];
  const state = { takes: true, clear: true, hangs: false };
  let encoded = 0;
  const views: unknown[] = [];
  const pipeline = new FramePipeline({
    clock,
    renderer: {
      resize: () => undefined,
      render: async ({ asksDepth }) => {
        if (state.hangs) await new Promise(() => undefined);
        if (renderMs > 0) await clock.sleep(renderMs);
        const depth = asksDepth === true ? { depth: new Uint8Array(12 * 12 * 2).fill(9) } : {};
        return { pixels: new Uint8Array(4), ...depth, [Symbol.dispose]: () => undefined };
      },
    },
    encoder: {
      codec: "h264",
      encode(_pixels, key, view) {
        encoded += 1;
        views.push(view);
        return { bytes: new Uint8Array([1]), key };
      },
    },
    renderClass: { name: "tiny", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz },
    takesFrame: () => state.clear,
    sendFrame: (_number, bytes) => {
      if (state.takes) frames.push(decodeFrame(bytes));
      return state.takes;
    },
  });
  const poses = () => frames.map(({ header }) => header.poseId);
  return { clock, frames, pipeline, poses, state, views, encoded: () => encoded };
}

t.test("poses that come while a frame is drawn are not queued: the newest is next", async (t) => {
  const { clock, pipeline, poses } = openPipeline({ renderMs: 50 });
  const done = pipeline.offerPose(poseOf(1));
  await clock.advance(10);
  for (const id of [2, 3, 4, 3]) await pipeline.offerPose(poseOf(id));
  await clock.advance(200);
  await done;
  t.same(poses(), [1, 4]);
});

t.test("the encoder is told what the picture was drawn for, its gaze with it", async (t) => {
  const { pipeline, views } = openPipeline();
  const pose: PoseMessage = { ...poseOf(1), asksFoveation: true, gaze: { x: 0.1, y: -0.2 } };
  await pipeline.offerPose(pose);
  t.same(views, [pose]);
});

t.test("poses faster than the class's rate give frames of its rate, each of the newest pose", async (t) => {
  const { clock, pipeline, frames } = openPipeline({ frameRateHz: 20 });
  for (let id = 1; id <= 100; id += 1) {
    void pipeline.offerPose(poseOf(id));
    await clock.advance(10);
  }
  t.ok(frames.length >= 19 && frames.length <= 22, `${frames.length} frames in a second at 20 Hz`);
  for (const { header } of frames) {
    const ageMs = header.renderStartedAtMs - header.poseReceivedAtMs;
    t.ok(ageMs >= 0 && ageMs <= 10, `frame ${header.frameNumber} is of a pose ${ageMs} ms old`);
  }
});

t.test("a display at twice the rate gives each frame a pose that has just come, whatever the jitter", async (t) => {
  const jitters = fc.array(fc.double({ min: -1.5, max: 1.5, noNaN: true }), { minLength: 120, maxLength: 120 });
  await fc.assert(
    fc.asyncProperty(jitters, async (jitter) => {
      const { clock, pipeline, frames } = openPipeline({ renderMs: 12, frameRateHz: 25 });
      let nowMs = 0;
      for (const [index, offset] of jitter.entries()) {
        const atMs = 20 * (index + 1) + offset;
        await clock.advance(atMs - nowMs);
        nowMs = atMs;
        void pipeline.offerPose(poseOf(index + 1));
      }
      await clock.advance(100);
      const agesMs = frames.map(({ header }) => header.renderStartedAtMs - header.poseReceivedAtMs);
      // What the last pose before the end waited for did not come.
      return frames.length >= 60 && agesMs.slice(0, 59).every((ageMs) => ageMs < 0.001);
    }),
    { numRuns: 20 },
  );
  t.pass("20 runs of 120 poses");
});

t.test("the pace is the period on average, and jitter within 0.4 of it costs no wait", async (t) => {
  const jitters = fc.array(fc.double({ min: -7.9, max: 7.9, noNaN: true }), { minLength: 50, maxLength: 50 });
  fc.assert(
    fc.property(jitters, (jitter) => {
      let dueMs = 0;
      return jitter.every((offset, index) => {
        const nowMs = 1_000 + index * 40 + offset;
        const { fromMs } = startWindow(dueMs, 40);
        dueMs = nextDueMs(nowMs, dueMs, 40);
        return nowMs >= fromMs;
      });
    }),
  );
  let [dueMs, nowMs] = [0, 0];
  for (let frame = 0; frame < 100; frame += 1) {
    nowMs = Math.max(nowMs, startWindow(dueMs, 40).fromMs);
    dueMs = nextDueMs(nowMs, dueMs, 40);
  }
  t.ok(nowMs >= 98 * 40, `100 frames took ${nowMs} ms`);
});

t.test("a pose that nothing newer follows is rendered when a quarter of a period is over", async (t) => {
  const { clock, pipeline, frames } = openPipeline({ frameRateHz: 25 });
  void pipeline.offerPose(poseOf(1));
  await clock.advance(10);
  void pipeline.offerPose(poseOf(2));
  await clock.advance(39);
  t.equal(frames.length, 1);
  await clock.advance(1);
  t.match(frames.at(-1)?.header, { poseId: 2 });
});

t.test("the first frame is a key frame, then those asked for, and the one after one that was not sent", async (t) => {
  const { clock, pipeline, frames, state } = openPipeline();
  const next = async (id: number) => {
    await pipeline.offerPose(poseOf(id));
    await clock.advance(20);
  };
  await next(1);
  await next(2);
  pipeline.requestKeyFrame();
  await next(3);
  state.takes = false;
  await next(4);
  state.takes = true;
  await next(5);
  await next(6);
  t.same(
    frames.map(({ header }) => [header.poseId, header.key]),
    [
      [1, true],
      [2, false],
      [3, true],
      [5, true],
      [6, false],
    ],
  );
  pipeline.restart();
  await next(1);
  t.match(frames.at(-1)?.header, { poseId: 1, key: true }, "a client that is new counts from 1");
  t.match(pipeline.takeStatistics(), { framesRendered: 7 });
  t.match(pipeline.takeStatistics(), { framesRendered: 0, renderMsP95: 0 });
});

t.test("a frame that was begun for a client is not sent to the next one", async (t) => {
  const { clock, pipeline, poses, frames } = openPipeline({ renderMs: 30 });
  void pipeline.offerPose(poseOf(7));
  await clock.advance(10);
  pipeline.restart();
  void pipeline.offerPose(poseOf(1));
  await clock.advance(100);
  t.same(poses(), [1]);
  t.match(frames[0]?.header, { key: true });
});

t.test("a frame has depth planes where its pose asks for them", async (t) => {
  const { pipeline, frames, clock } = openPipeline();
  await pipeline.offerPose(poseOf(1));
  await clock.advance(20);
  await pipeline.offerPose({ ...poseOf(2), asksDepth: true });
  t.equal(frames[0]?.depth, undefined);
  t.same([...new Set(frames[1]?.depth)], [9]);
  t.equal(frames[1]?.depth?.byteLength, 288);
});

t.test(
  "a frame that would wait is not encoded and is counted, and the next follows from the one before it",
  async (t) => {
    const { clock, pipeline, frames, state, encoded } = openPipeline();
    for (const [index, clear] of [true, false, false, true].entries()) {
      state.clear = clear;
      await pipeline.offerPose(poseOf(index + 1));
      await clock.advance(20);
    }
    t.equal(encoded(), 2);
    t.same(
      frames.map(({ header }) => [header.poseId, header.frameNumber, header.key]),
      [
        [1, 1, true],
        [4, 2, false],
      ],
    );
    t.match(pipeline.takeStatistics(), { framesRendered: 4, framesHeldBack: 2 });
    t.match(pipeline.takeStatistics(), { framesHeldBack: 0 });
  },
);

t.test("a key frame that was asked for while nothing could be sent is the next that can", async (t) => {
  const { clock, pipeline, frames, state } = openPipeline();
  for (const [index, clear] of [true, false, true].entries()) {
    state.clear = clear;
    if (!clear) pipeline.requestKeyFrame();
    await pipeline.offerPose(poseOf(index + 1));
    await clock.advance(20);
  }
  t.same(
    frames.map(({ header }) => header.key),
    [true, true],
  );
});

t.test("a frame that is never drawn ends in a named failure", async (t) => {
  const { clock, pipeline, state } = openPipeline();
  state.hangs = true;
  const failed = t.rejects(pipeline.offerPose(poseOf(1)), { code: "deadline-exceeded" });
  await clock.advance(2_001);
  await failed;
});
