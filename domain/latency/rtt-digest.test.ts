import fc from "fast-check";
import t from "tap";
import { RttDigest } from "./rtt-digest.ts";

const HALF_LIFE_MS = 21_600_000;
const rtts = fc.array(fc.double({ min: 1, max: 2000, noNaN: true }), { minLength: 1, maxLength: 400 });

function digestOf(samplesMs: readonly number[]): RttDigest {
  const digest = new RttDigest(0);
  for (const rttMs of samplesMs) digest.add(rttMs, 1, 0);
  return digest;
}

t.test("few samples are kept exactly, whatever their order", async (t) => {
  const few = fc.array(fc.nat(300), { minLength: 1, maxLength: 32 });
  const isExact = fc.property(few, fc.constantFrom(0.05, 0.5, 0.95), (samplesMs, ratio) => {
    const sorted = samplesMs.toSorted((a, b) => a - b);
    return digestOf(samplesMs).quantileMs(ratio) === sorted[Math.ceil(ratio * sorted.length - 1e-9) - 1];
  });
  t.doesNotThrow(() => fc.assert(isExact));
});

t.test("of many, memory stays bounded, and ranks are out by few of a hundred and by fewest at the tail", async (t) => {
  const isNear = fc.property(rtts, fc.constantFrom(0.5, 0.95), (samplesMs, ratio) => {
    const digest = digestOf(samplesMs);
    const sorted = samplesMs.toSorted((a, b) => a - b);
    const rankOf = (share: number) => Math.min(sorted.length - 1, Math.max(0, Math.floor(share * sorted.length)));
    const slack = 0.02 + (ratio === 0.5 ? 0.05 : 0) + 1 / sorted.length;
    const low = sorted[rankOf(ratio - slack)] ?? 0;
    const high = sorted[rankOf(ratio + slack)] ?? 0;
    const found = digest.quantileMs(ratio);
    return digest.centroidCount <= 32 && found >= low && found <= high;
  });
  t.doesNotThrow(() => fc.assert(isNear, { numRuns: 300 }));
});

t.test("no weight is lost in merging, and it halves in six hours", async (t) => {
  const isWhole = fc.property(rtts, (samplesMs) => {
    const digest = digestOf(samplesMs);
    const isNear = (weight: number, aim: number) => Math.abs(weight - aim) < 1e-6 * aim;
    return isNear(digest.weightAt(0), samplesMs.length) && isNear(digest.weightAt(HALF_LIFE_MS), samplesMs.length / 2);
  });
  t.doesNotThrow(() => fc.assert(isWhole));
});

t.test("a sample of four times the weight is four samples", async (t) => {
  const digest = new RttDigest(0);
  digest.add(10, 4, 0);
  for (const rttMs of [1, 1, 1]) digest.add(rttMs, 1, 0);
  t.equal(digest.quantileMs(0.5), 10);
  digest.add(1, 1, 0);
  t.equal(digest.quantileMs(0.5), 1);
});

t.test("what was is outweighed by a fifth as many samples a day later", async (t) => {
  const digest = new RttDigest(0);
  for (let sample = 0; sample < 25; sample += 1) digest.add(80, 1, 0);
  for (let sample = 0; sample < 5; sample += 1) digest.add(10, 1, 4 * HALF_LIFE_MS);
  t.equal(digest.quantileMs(0.5), 10);
});

t.test("a year goes by without an overflow, and a sample from before it is no trouble", async (t) => {
  const digest = new RttDigest(0);
  for (let day = 0; day <= 365; day += 1) digest.add(20 + (day % 7), 1, day * 4 * HALF_LIFE_MS);
  digest.add(900, 1, 0);
  const nowMs = 365 * 4 * HALF_LIFE_MS;
  t.ok(digest.weightAt(nowMs) > 1 && digest.weightAt(nowMs) < 1.1, `${digest.weightAt(nowMs)}`);
  t.equal(digest.quantileMs(0.5), 20 + (365 % 7));
});
