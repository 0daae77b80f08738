/** The ring between decoder and loudspeaker, call by call: what went in comes out, late by what it is to be late. */
import fc from "fast-check";
import t from "tap";
import { AudioRing, type RingOptions } from "./audio-ring.ts";

const FRAMES_PER_MS = 48;
const BLOCK = 10 * FRAMES_PER_MS;
const CALL = 128;
const OPTIONS: RingOptions = {
  capacityFrames: 100 * FRAMES_PER_MS,
  lowFrames: 20 * FRAMES_PER_MS,
  highFrames: 40 * FRAMES_PER_MS,
  stepFrames: 5 * FRAMES_PER_MS,
  calmFrames: 2_000 * FRAMES_PER_MS,
  marginFrames: 5 * FRAMES_PER_MS,
  bandFrames: 3 * FRAMES_PER_MS,
  rateRatioMax: 0.005,
};

const toneAt = (frame: number): number => Math.sin((2 * Math.PI * 440 * frame) / 48_000);

/** A sender whose clock runs `ratio` as fast as the ring's; blocks that `isLost` never come. */
function play(calls: number, { ratio = 1, isLost = (_block: number): boolean => false, jitterFrames = [0] } = {}) {
  const ring = new AudioRing(OPTIONS);
  const heard: number[] = [];
  const levels: number[] = [];
  const buffers = [new Float32Array(CALL), new Float32Array(CALL)] as const;
  let block = 0;
  for (let call = 0; call < calls; call += 1) {
    while (block * BLOCK + (jitterFrames[block % jitterFrames.length] ?? 0) <= call * CALL * ratio) {
      const samples = Float32Array.from({ length: BLOCK }, (_, frame) => toneAt(block * BLOCK + frame));
      if (!isLost(block))
        ring.write(
          block * BLOCK,
          samples,
          samples.map((value) => -value),
        );
      block += 1;
    }
    const before = ring.position;
    ring.read(...buffers, call * CALL);
    if (before !== undefined) levels.push(call * CALL * ratio - before);
    heard.push(...buffers[0]);
    for (const [frame, value] of buffers[0].entries()) if (value !== -(buffers[1][frame] ?? 0)) throw new Error("ears");
  }
  return { ring, heard, levels };
}

t.test("blocks are heard as they are, 10 to 20 ms after they came", async (t) => {
  const { ring, heard, levels } = play(2_000);
  t.same(ring.counts, { blocksLate: 0, underruns: 0, overruns: 0 });
  const latest = Math.max(...levels.slice(10));
  t.ok(latest <= 20 * FRAMES_PER_MS, `at most ${latest / FRAMES_PER_MS} ms`);
  t.ok(Math.min(...levels.slice(10)) >= 5 * FRAMES_PER_MS, "and not before there is some of it");
  // It has found its level by then.
  const from = heard.length - 40_000;
  const offset = (ring.position ?? 0) - heard.length;
  const exact = heard.slice(from).every((value, at) => Math.abs(value - toneAt(from + at + offset)) < 1e-6);
  t.ok(exact, "sample by sample");
});

for (const ratio of [0.9995, 1.0005]) {
  t.test(`a clock that runs at ${ratio} is followed for minutes without a gap`, async (t) => {
    const { ring, levels } = play(60_000, { ratio });
    t.same(ring.counts, { blocksLate: 0, underruns: 0, overruns: 0 });
    const late = levels.slice(1_000);
    t.ok(
      Math.max(...late) < 40 * FRAMES_PER_MS && Math.min(...late) >= 0,
      `${Math.min(...late)}..${Math.max(...late)}`,
    );
  });
}

t.test("blocks that never come are silence in their place, and what follows is where it was", async (t) => {
  const { ring, heard } = play(2_000, { isLost: (block) => block === 420 });
  t.equal(ring.counts.underruns, 0);
  const offset = (ring.position ?? 0) - heard.length;
  const at = 420 * BLOCK - offset;
  t.ok(
    heard.slice(at, at + BLOCK).every((value) => value === 0),
    "a block of silence",
  );
  const after = at + BLOCK + 100;
  t.ok(Math.abs((heard[after] ?? 0) - toneAt(after + offset)) < 1e-6);
});

t.test("after a gap that is too long it waits for its low end, and holds more from then on", async (t) => {
  const { ring, levels } = play(1_000, { isLost: (block) => block >= 100 && block < 110 });
  t.equal(ring.counts.underruns, 1);
  const [before, after] = [levels.slice(200, 300), levels.slice(-100)].map((some) => Math.max(...some));
  t.ok((after ?? 0) > (before ?? 0) + 2 * FRAMES_PER_MS, `${after} frames, after ${before}`);
});

t.test("what was too little for a while is tried again once blocks come in time", async (t) => {
  const isLost = (block: number): boolean => block >= 100 && block < 300 && block % 20 < 6;
  const { ring } = play(2_000, { isLost });
  const { ring: later, levels } = play(6_000, { isLost });
  t.ok(ring.levelFrames > 30 * FRAMES_PER_MS, `${ring.levelFrames} frames while they come late`);
  t.equal(later.counts.underruns, ring.counts.underruns);
  const latest = Math.max(...levels.slice(-100));
  t.ok(latest < 24 * FRAMES_PER_MS, `at most ${latest / FRAMES_PER_MS} ms later`);
});

interface Aimed {
  /** What the ring is to hold so that what it plays is played in time. */
  readonly levelMs: number;
  readonly driftRatio: number;
  readonly jitterMs: readonly number[];
  readonly lost: ReadonlySet<number>;
}

const AIMED = fc.record({
  levelMs: fc.double({ min: 20, max: 37, noNaN: true }),
  driftRatio: fc.double({ min: -500e-6, max: 500e-6, noNaN: true }),
  jitterMs: fc.array(fc.double({ min: 0, max: 4, noNaN: true }), { minLength: 1, maxLength: 40 }),
  lost: fc.uniqueArray(fc.integer({ min: 20, max: 2_000 }), { maxLength: 40 }).map((lost) => new Set(lost)),
});
/** In calls: from one place of the clock to the next that a page tells. */
const AIM_CALLS = 37;

/** How far what is played is from its aim, call by call, in ms: from `aimedFrom` on there is one. */
function follow(calls: number, aimedFrom: number, { levelMs, driftRatio, jitterMs, lost }: Aimed) {
  const ring = new AudioRing(OPTIONS);
  const buffers = [new Float32Array(CALL), new Float32Array(CALL)] as const;
  const ones = new Float32Array(BLOCK).fill(1);
  const earlyMs: number[] = [];
  let block = 0;
  for (let call = 0; call < calls; call += 1) {
    // The sender's clock, by which a block comes at the time of its place and a little later.
    const sentFrame = call * CALL * (1 + driftRatio);
    while (block * BLOCK + (jitterMs[block % jitterMs.length] ?? 0) * FRAMES_PER_MS <= sentFrame) {
      if (!lost.has(block)) ring.write(block * BLOCK, ones, ones);
      block += 1;
    }
    const aimedFrame = sentFrame + BLOCK / 2 - levelMs * FRAMES_PER_MS;
    if (call >= aimedFrom && call % AIM_CALLS === 0) ring.aim(aimedFrame - call * CALL);
    ring.read(...buffers, call * CALL);
    if (ring.position !== undefined) earlyMs.push((ring.position - CALL - aimedFrame) / FRAMES_PER_MS);
    else earlyMs.push(Number.NaN);
  }
  return { ring, earlyMs };
}

/** 500 blocks: at half a per cent 25 ms. */
const SETTLED_CALLS = 1_875;
/** Beyond the band: what clocks drift until the next aim, and that blocks come between calls, which are 2.7 ms apart. */
const SLACK_MS = 2;

/** In calls: two blocks, or four at the high end. */
const GAP_CALLS = 16;

t.test("from wherever it is, it is at its aim within 500 blocks, and stays there while clocks drift", async (t) => {
  fc.assert(
    fc.property(AIMED, fc.integer({ min: 0, max: 1_000 }), (aimed, aimedFrom) => {
      const { ring, earlyMs } = follow(aimedFrom + SETTLED_CALLS + 2_000, aimedFrom, aimed);
      const { underruns } = ring.counts;
      if (aimed.lost.size === 0 && underruns > 0) throw new Error(`${underruns} underruns`);
      // What it has seen that it needs keeps it from its aim: it needs that of blocks as they come, and they come late.
      const jitterMs = aimed.jitterMs.reduce((sum, ms) => sum + ms, 0) / aimed.jitterMs.length;
      const lateMs = Math.max(0, Math.min(40, 20 + 5 * underruns) + jitterMs - aimed.levelMs);
      const settled = earlyMs.slice(aimedFrom + SETTLED_CALLS);
      const heard = settled.filter((ms) => !Number.isNaN(ms));
      if (settled.length - heard.length > underruns * GAP_CALLS)
        throw new Error(`${settled.length - heard.length} mute`);
      for (const [at, ms] of heard.entries())
        if (ms > 3 + SLACK_MS || ms < -3 - SLACK_MS - lateMs) throw new Error(`${ms} ms early at call ${at}`);
    }),
    { numRuns: 60 },
  );
  t.pass();
});

t.test("one that begins with an aim begins there", async (t) => {
  fc.assert(
    fc.property(AIMED, (aimed) => {
      const { earlyMs } = follow(40, 0, { ...aimed, levelMs: Math.max(26, aimed.levelMs) });
      const first = earlyMs.find((ms) => !Number.isNaN(ms));
      if (first === undefined || !(Math.abs(first) <= SLACK_MS)) throw new Error(`${first} ms early`);
    }),
  );
  t.pass();
});

t.test("however far its aim is off, it holds neither less nor more than it may", async (t) => {
  const far = fc.integer({ min: -200, max: 200 });
  fc.assert(
    fc.property(far, (levelMs) => {
      const { ring } = follow(4_000, 0, { levelMs, driftRatio: 0, jitterMs: [0], lost: new Set() });
      const held = ring.levelFrames / FRAMES_PER_MS;
      if (!(held >= 20 - 3 - SLACK_MS && held <= 40 + 3 + SLACK_MS)) throw new Error(`${held} ms`);
      if (ring.counts.underruns + ring.counts.overruns > 0) throw new Error(JSON.stringify(ring.counts));
    }),
    { numRuns: 40 },
  );
  t.pass();
});

t.test("a rest that was announced is no underrun", async (t) => {
  const ring = new AudioRing(OPTIONS);
  const buffers = [new Float32Array(CALL), new Float32Array(CALL)] as const;
  for (let block = 0; block < 4; block += 1)
    ring.write(block * BLOCK, new Float32Array(BLOCK), new Float32Array(BLOCK));
  ring.restAt(4 * BLOCK);
  for (let call = 0; call < 30; call += 1) ring.read(...buffers, call * CALL);
  t.equal(ring.position, undefined);
  t.equal(ring.counts.underruns, 0);
});

t.test(
  "whenever blocks come, nothing but what was sent is heard, and no more waits than there is room for",
  async (t) => {
    const writes = fc.array(fc.tuple(fc.nat(40), fc.nat(6)), { maxLength: 60, size: "max" });
    fc.assert(
      fc.property(writes, (steps) => {
        const ring = new AudioRing(OPTIONS);
        const buffers = [new Float32Array(CALL), new Float32Array(CALL)] as const;
        const ones = new Float32Array(BLOCK).fill(1);
        let [heard, clockFrame] = [-1, 0];
        for (const [block, calls] of steps) {
          ring.write(block * BLOCK, ones, ones);
          for (let call = 0; call < calls; call += 1) {
            ring.read(...buffers, clockFrame);
            clockFrame += CALL;
            t.ok(
              buffers[0].every((value) => value >= -0.2 && value <= 1.2),
              JSON.stringify(steps),
            );
            const { position } = ring;
            if (position !== undefined) {
              t.ok(position >= heard, "time does not go back");
              heard = position;
            }
            t.ok(ring.levelFrames <= OPTIONS.capacityFrames);
          }
        }
      }),
    );
  },
);
