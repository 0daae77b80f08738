/** The parts of remote-path latency add up, whatever the agent's clock says, and the window forgets. */
import fc from "fast-check";
import t from "tap";
import type { FrameHeader } from "#contracts/media/frame.ts";
import {
  createLatencyWindow,
  LATENCY_PARTS,
  measureFrame,
  percentilesOf,
  WINDOW_MS,
  WINDOW_SAMPLES_MAX,
} from "./latency.ts";

const header = (times: Partial<FrameHeader>): FrameHeader => ({
  frameNumber: 1,
  codec: "h264",
  key: false,
  eyeWidthPixels: 96,
  eyeHeightPixels: 96,
  poseId: 1,
  poseSampledAtMs: 1000,
  poseReceivedAtMs: 0,
  renderStartedAtMs: 0,
  renderedAtMs: 0,
  encodedAtMs: 0,
  sentAtMs: 0,
  ...times,
});

t.test("of 30 ms the agent and the decoder take theirs, the network is the rest", async (t) => {
  const agent = { poseReceivedAtMs: 77_000, renderStartedAtMs: 77_002, renderedAtMs: 77_010, encodedAtMs: 77_013 };
  const frame = { header: header({ ...agent, sentAtMs: 77_014 }), arrivedAtMs: 1028, decodedAtMs: 1030 };
  t.same(measureFrame(frame, undefined), {
    remotePathMs: 30,
    networkMs: 14,
    waitMs: 3,
    renderMs: 8,
    encodeMs: 3,
    decodeMs: 2,
    jitterMs: 0,
  });
});

t.test("parts are never negative and add up to the whole, whatever times an agent sends", async (t) => {
  const time = fc.double({ min: -1e12, max: 1e12, noNaN: true });
  const times = fc.record({
    poseSampledAtMs: time,
    poseReceivedAtMs: time,
    renderStartedAtMs: time,
    renderedAtMs: time,
    encodedAtMs: time,
    sentAtMs: time,
  });
  fc.assert(
    fc.property(times, time, time, (agent, arrivedAtMs, decodedAtMs) => {
      const sample = measureFrame({ header: header(agent), arrivedAtMs, decodedAtMs }, undefined);
      const sum = LATENCY_PARTS.reduce((total, part) => total + sample[part], 0);
      t.ok(
        LATENCY_PARTS.every((part) => sample[part] >= 0),
        JSON.stringify(sample),
      );
      t.ok(Math.abs(sum - sample.remotePathMs) < 1, JSON.stringify(sample));
    }),
  );
});

t.test("p50 and p95 are nearest ranks", async (t) => {
  t.same(percentilesOf([]), { p50: 0, p95: 0 });
  t.same(percentilesOf([5]), { p50: 5, p95: 5 });
  t.same(percentilesOf(Array.from({ length: 100 }, (_, at) => 100 - at)), { p50: 50, p95: 95 });
});

t.test("the window holds ten seconds and a bounded count, and gives the rate of frames", async (t) => {
  const window = createLatencyWindow();
  t.equal(window.summarise(0), undefined);
  const add = (decodedAtMs: number): void => {
    window.add({ header: header({ poseSampledAtMs: decodedAtMs - 20 }), arrivedAtMs: decodedAtMs, decodedAtMs });
  };
  for (let at = 0; at <= 1000; at += 20) add(at);
  t.match(window.summarise(1000), { samples: 51, frameRateHz: 50, remotePathMs: { p50: 20, p95: 20 } });
  t.equal(window.summarise(1000 + WINDOW_MS)?.samples, 1);
  t.equal(window.summarise(1001 + WINDOW_MS), undefined);
  for (let at = 0; at < WINDOW_SAMPLES_MAX + 100; at += 1) add(20_000 + at);
  t.equal(window.summarise(21_000)?.samples, WINDOW_SAMPLES_MAX);
});
