/** The life of a frame with a simulated renderer: newest pose, nothing queued, the class's rate, key frames. */
import fc from "fast-check";
import t from "tap";
import { decodeFrame, type Frame } from "#contracts/media/frame.ts";
import type { PoseMessage } from "#contracts/media/pose.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { startOf } from "./pacing.ts";
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
  const state = { takes: true, hangs: false };
  const pipeline = new FramePipeline({
    clock,
    renderer: {
      render: async () => {
        if (state.hangs) await new Promise(() => undefined);
        if (renderMs > 0) await clock.sleep(renderMs);
        return { pixels: new Uint8Array(4), [Symbol.dispose]: () => undefined };
      },
    },
    encoder: { codec: "h264", encode: (_pixels, key) => ({ bytes: new Uint8Array([1]), key }) },
    renderClass: { name: "tiny", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz },
    sendFrame: (_number, bytes) => {
      if (state.takes) frames.push(decodeFrame(bytes));
      return state.takes;
    },
  });
  const poses = () => frames.map(({ header }) => header.poseId);
  return { clock, frames, pipeline, poses, state };
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

t.test("the pace is the period on average, and jitter within half of it costs no wait", async (t) => {
  const jitters = fc.array(fc.double({ min: -9, max: 9, noNaN: true }), { minLength: 50, maxLength: 50 });
  fc.assert(
    fc.property(jitters, (jitter) => {
      let [dueMs, waited] = [0, 0];
      for (const [index, offset] of jitter.entries()) {
        const start = startOf(1_000 + index * 40 + offset / 2, dueMs, 40);
        dueMs = start.dueMs;
        waited += start.waitMs;
      }
      return waited === 0;
    }),
  );
  let [dueMs, nowMs] = [0, 0];
  for (let frame = 0; frame < 100; frame += 1) {
    const start = startOf(nowMs, dueMs, 40);
    nowMs += start.waitMs;
    dueMs = start.dueMs;
  }
  t.ok(nowMs >= 98 * 40, `100 frames took ${nowMs} ms`);
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

t.test("a frame that is never drawn ends in a named failure", async (t) => {
  const { clock, pipeline, state } = openPipeline();
  state.hangs = true;
  const failed = t.rejects(pipeline.offerPose(poseOf(1)), { code: "deadline-exceeded" });
  await clock.advance(2_001);
  await failed;
});
