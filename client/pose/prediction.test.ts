/** Heads that go on as they went are predicted, those that were put elsewhere are not. */
import fc from "fast-check";
import t from "tap";
import { FORWARD, headPoseOf } from "./emulated-head.ts";
import type { HeadPose } from "./head-pose.ts";
import { createHeadPredictor, PREDICTION_MS_MAX } from "./prediction.ts";
import { conjugate, lookRotation, multiply } from "./rotation.ts";

const STILL = headPoseOf(FORWARD, 1);
const turned = (yawDegrees: number, x = 0): HeadPose => ({
  ...STILL,
  orientation: lookRotation({ yawDegrees, pitchDegrees: 0 }),
  position: { ...STILL.position, x },
});

function degreesApart(a: HeadPose, b: HeadPose): number {
  const { x, y, z } = multiply(a.orientation, conjugate(b.orientation));
  return (2 * Math.asin(Math.min(1, Math.hypot(x, y, z))) * 180) / Math.PI;
}

t.test("a head that turns and goes evenly is found where it will be, at any rate of samples", async (t) => {
  const rates = fc.record({
    degreesPerSecond: fc.double({ min: -300, max: 300, noNaN: true }),
    metresPerSecond: fc.double({ min: -2, max: 2, noNaN: true }),
    intervalMs: fc.double({ min: 4, max: 34, noNaN: true }),
    aheadMs: fc.double({ min: 0, max: PREDICTION_MS_MAX, noNaN: true }),
  });
  fc.assert(
    fc.property(rates, ({ degreesPerSecond, metresPerSecond, intervalMs, aheadMs }) => {
      const predictor = createHeadPredictor();
      const at = (ms: number): HeadPose => turned((degreesPerSecond * ms) / 1000, (metresPerSecond * ms) / 1000);
      for (let sample = 0; sample <= 10; sample += 1) predictor.add(at(sample * intervalMs), sample * intervalMs);
      const whenMs = 10 * intervalMs + aheadMs;
      const predicted = predictor.at(whenMs);
      t.ok(predicted !== undefined && degreesApart(predicted, at(whenMs)) < 1e-5, JSON.stringify(predicted));
      t.ok(Math.abs((predicted?.position.x ?? 9) - at(whenMs).position.x) < 1e-9);
    }),
  );
});

t.test("a head that stands still, was put elsewhere, or has no past is taken as it is", async (t) => {
  const predictor = createHeadPredictor();
  t.equal(predictor.at(0), undefined);
  predictor.add(turned(0), 0);
  t.same(predictor.at(30), turned(0));
  predictor.add(turned(90), 16);
  t.same(predictor.at(46), turned(90), "90 degrees within 16 ms");
  predictor.add(turned(90, 1), 66);
  t.same(predictor.at(90), turned(90, 1), "a metre within 50 ms");
  for (const [degrees, atMs] of [
    [90, 82],
    [91, 98],
    [100, 114],
  ] as const)
    predictor.add(turned(degrees, 1), atMs);
  t.same(predictor.at(144), turned(100, 1), "nine of ten degrees in the last step");
  for (const [degrees, atMs] of [
    [0, 300],
    [12, 316],
    [-12, 332],
  ] as const)
    predictor.add(turned(degrees, 1), atMs);
  t.same(predictor.at(362), turned(-12, 1), "there and back");
  predictor.add(turned(100, 1), 1000);
  t.same(predictor.at(1020), turned(100, 1), "what was long ago says nothing");
});

t.test("no farther than the most that is predicted, and never into the past", async (t) => {
  const predictor = createHeadPredictor();
  for (let sample = 0; sample <= 4; sample += 1) predictor.add(turned(sample), sample * 10);
  const degreesAt = (ms: number): number => degreesApart(predictor.at(ms) ?? STILL, turned(4));
  t.ok(Math.abs(degreesAt(40 + PREDICTION_MS_MAX) - PREDICTION_MS_MAX / 10) < 1e-6);
  t.ok(Math.abs(degreesAt(9_000) - PREDICTION_MS_MAX / 10) < 1e-6);
  t.ok(degreesAt(20) < 1e-6);
});
