/** Rate control against a simulated bottleneck: the latency target is held by lower quality, which comes back. */
import fc from "fast-check";
import t from "tap";
import {
  BITS_PER_SECOND_FLOOR,
  firstRate,
  nextRate,
  qualityOf,
  type RateBounds,
  type RateState,
  STEPS,
  targetMsOf,
} from "./rate-control.ts";

const BOUNDS: RateBounds = { bitsPerSecondMax: 4_000_000, pixels: 960 * 540, frameRateHz: 30, bitsPerPixelMin: 0.05 };
const REPORT_MS = 100;

interface Way {
  /** In bits a second. */
  readonly capacityAt: (ms: number) => number;
  readonly rttAt?: (ms: number) => number;
  /** 0..1, anew for each frame. */
  readonly chance: () => number;
  readonly jitterMs?: number;
  readonly lossRatio?: number;
  readonly bufferBytes?: number;
}

interface Sent {
  readonly atMs: number;
  readonly bitsPerSecond: number;
  readonly step: number;
  readonly state: RateState;
  /** What waits before it. */
  readonly queueMs: number;
  /** Longer than the empty way takes; `undefined` for a frame that was lost or not sent. */
  readonly excessMs: number | undefined;
}

interface Arrival {
  readonly number: number;
  readonly atMs: number;
  readonly bytes: number;
  readonly networkMs: number;
}

/** A client that reports as ours does. */
function createReporter(rttAt: (ms: number) => number) {
  let arrivals: Arrival[] = [];
  let [lastArrivalMs, lastReportMs] = [0, 0];
  return {
    arrive: (arrival: Arrival) => void arrivals.push(arrival),
    reportAt(nowMs: number) {
      const here = arrivals.filter(({ atMs }) => atMs <= nowMs);
      const newest = here.at(-1);
      if (newest === undefined || nowMs - lastReportMs < REPORT_MS) return undefined;
      arrivals = arrivals.filter(({ atMs }) => atMs > nowMs);
      const report = {
        newestFrame: newest.number,
        framesArrived: here.length,
        bytes: here.reduce((sum, { bytes }) => sum + bytes, 0),
        spanMs: lastArrivalMs === 0 ? 0 : newest.atMs - lastArrivalMs,
        networkMsMin: Math.min(...here.map(({ networkMs }) => networkMs)),
      };
      lastArrivalMs = newest.atMs;
      lastReportMs = nowMs;
      return { report, heardAtMs: nowMs + rttAt(nowMs) / 2 };
    },
  };
}

/** Millisecond by millisecond: a sender with the controller, one queue, a client. */
function send(way: Way, forMs: number, bounds = BOUNDS): readonly Sent[] {
  const { capacityAt, rttAt = () => 10, chance, jitterMs = 0, lossRatio = 0, bufferBytes = 256 * 1024 } = way;
  const reporter = createReporter(rttAt);
  const sent: Sent[] = [];
  const waiting: NonNullable<ReturnType<typeof reporter.reportAt>>[] = [];
  let [state, number, freeAtMs, nextFrameMs] = [firstRate(bounds), 0, 0, 0];
  for (let nowMs = 0; nowMs < forMs; nowMs += 1) {
    const made = reporter.reportAt(nowMs);
    if (made !== undefined) waiting.push(made);
    while ((waiting[0]?.heardAtMs ?? Number.POSITIVE_INFINITY) <= nowMs) {
      const { report } = waiting.shift() ?? { report: undefined };
      if (report !== undefined)
        state = nextRate(state, { kind: "report", report }, { nowMs, sentFrame: number }, bounds);
    }
    if (nowMs < nextFrameMs) continue;
    const quality = qualityOf(state, bounds);
    nextFrameMs += 1000 / quality.frameRateHz;
    const bytes = (quality.bitsPerSecond / quality.frameRateHz / 8) * (0.7 + 0.4 * chance());
    const queueMs = Math.max(0, freeAtMs - nowMs);
    const capacity = capacityAt(nowMs);
    number += 1;
    const base = { atMs: nowMs, bitsPerSecond: quality.bitsPerSecond, step: state.step, state, queueMs };
    if ((queueMs / 8000) * capacity > bufferBytes) {
      state = nextRate(state, { kind: "dropped" }, { nowMs, sentFrame: number }, bounds);
      sent.push({ ...base, excessMs: undefined });
      continue;
    }
    freeAtMs = Math.max(freeAtMs, nowMs) + (bytes * 8000) / capacity;
    const networkMs = freeAtMs - nowMs + rttAt(nowMs) + jitterMs * chance();
    const isLost = chance() < lossRatio;
    if (!isLost) reporter.arrive({ number, atMs: nowMs + networkMs, bytes, networkMs });
    sent.push({ ...base, excessMs: isLost ? undefined : networkMs - rttAt(nowMs) });
  }
  return sent;
}

/** The same numbers for the same seed. */
function chanceOf(seed: number): () => number {
  let value = seed >>> 0;
  return () => {
    value = (Math.imul(value, 1_664_525) + 1_013_904_223) >>> 0;
    return value / 2 ** 32;
  };
}

const between = (frames: readonly Sent[], fromMs: number, toMs: number) =>
  frames.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const bitsOf = (frames: readonly Sent[]) => mean(frames.map(({ bitsPerSecond }) => bitsPerSecond));
const seeds = fc.integer({ min: 1, max: 2 ** 31 });
const megabits = (min: number, max: number) =>
  fc.integer({ min: min * 10, max: max * 10 }).map((tenths) => tenths * 1e5);

t.test("bandwidth halved for 10 s: the target is held within 1 s, and quality is back 5 s after", async (t) => {
  fc.assert(
    fc.property(seeds, megabits(3, 14), fc.constantFrom(0, 5, 20), (seed, capacity, rttMs) => {
      const capacityAt = (ms: number) => (ms >= 15_000 && ms < 25_000 ? capacity / 2 : capacity);
      const frames = send({ capacityAt, rttAt: () => rttMs, chance: chanceOf(seed) }, 35_000);
      const best = Math.min(...between(frames, 0, 15_000).map(({ excessMs = 0 }) => excessMs));
      const late = between(frames, 16_000, 25_000).filter(
        ({ state, excessMs = 0 }) => excessMs - best > 2.4 * targetMsOf(qualityOf(state, BOUNDS)),
      );
      t.ok(
        late.length <= 5,
        `${late.length} late at ${capacity}: ${late.map(({ atMs, excessMs = 0 }) => `${atMs}+${excessMs - best}`)}`,
      );
      const [before, after] = [bitsOf(between(frames, 13_000, 15_000)), bitsOf(between(frames, 30_000, 32_000))];
      // A narrow way was filled further before, when nothing had shown yet how fast it is.
      const back = Math.min(before * 0.9, capacity * 0.4);
      t.ok(after >= back, `${after} bit/s five seconds after, ${before} before, of ${capacity}`);
    }),
    { numRuns: 200 },
  );
});

t.test("quality is back 5 s after though the fastest frame was faster since", async (t) => {
  const capacityAt = (ms: number) => (ms >= 15_000 && ms < 25_000 ? 5e6 : 10e6);
  const rttAt = (ms: number) => (ms >= 25_000 && ms < 25_200 ? 7 : 10);
  const back = Array.from({ length: 41 }, (_, seed) => {
    const frames = send({ capacityAt, rttAt, chance: chanceOf(seed) }, 33_000);
    return bitsOf(between(frames, 30_000, 32_000)) / bitsOf(between(frames, 13_000, 15_000));
  });
  // By delay alone 0.82: it is then against the faster one.
  const middle = back.toSorted((a, b) => a - b)[20] ?? 0;
  t.ok(middle >= 0.95, `${middle} of what it was, in the middle of 41`);
});

t.test("whatever the way carries, what waits before a frame is bounded, and gone soon after a change", async (t) => {
  const stages = fc.array(megabits(0.6, 12), { minLength: 4, maxLength: 6 });
  fc.assert(
    fc.property(seeds, stages, (seed, capacities) => {
      const stageMs = 6_000;
      const capacityAt = (ms: number) => capacities[Math.floor(ms / stageMs)] ?? 1e6;
      const frames = send({ capacityAt, chance: chanceOf(seed) }, stageMs * capacities.length);
      for (const [index, capacity] of capacities.entries()) {
        const before = capacities[index - 1] ?? BOUNDS.bitsPerSecondMax;
        const stage = between(frames, index * stageMs, (index + 1) * stageMs);
        const most = Math.max(...stage.map(({ queueMs }) => queueMs));
        const bound = 700 + 450 * (Math.min(before, BOUNDS.bitsPerSecondMax) / capacity);
        t.ok(most < bound, `${most} ms wait at ${capacity} after ${before} bit/s`);
        const settled = between(frames, index * stageMs + 3_500, (index + 1) * stageMs);
        const still = Math.max(...settled.map(({ queueMs }) => queueMs));
        t.ok(still < 140, `${still} ms wait at ${capacity} bit/s, seconds after ${before}`);
      }
    }),
    { numRuns: 40 },
  );
});

t.test("where the way stays as it is, so does the rate: no swing, and no step of resolution to and fro", async (t) => {
  fc.assert(
    fc.property(seeds, megabits(0.8, 20), (seed, capacity) => {
      const frames = between(send({ capacityAt: () => capacity, chance: chanceOf(seed) }, 60_000), 15_000, 60_000);
      const phases = frames.map(({ state }) => state.phase);
      const count = (phase: string) => phases.filter((one, at) => one === phase && phases[at - 1] !== phase).length;
      t.ok(count("lowered") <= 20, `lowered ${count("lowered")} times in 45 s at ${capacity} bit/s`);
      const still = frames.filter(({ state }) => state.phase !== "dipping").map(({ bitsPerSecond }) => bitsPerSecond);
      const sorted = still.toSorted((a, b) => a - b);
      const [low = 0, high = 0] = [0.05, 0.95].map((share) => sorted[Math.floor(sorted.length * share)]);
      t.ok(high <= low * 3, `${low} to ${high} bit/s at ${capacity}`);
      const steps = frames.map(({ step }) => step);
      const changes = steps.filter((step, at) => at > 0 && step !== steps[at - 1]).length;
      t.ok(changes <= 2, `${changes} changes of step at ${capacity} bit/s`);
    }),
    { numRuns: 40 },
  );
});

t.test("jitter of 5 ms and loss of 2 % on a wide way cost no quality", async (t) => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const way = { capacityAt: () => 100e6, chance: chanceOf(seed), jitterMs: 5, lossRatio: 0.02 };
      const rates = between(send(way, 30_000), 2_000, 30_000).map(({ bitsPerSecond }) => bitsPerSecond);
      const below = rates.filter((rate) => rate < BOUNDS.bitsPerSecondMax).length / rates.length;
      t.ok(below < 0.1, `${below} of all frames were below the full rate`);
    }),
    { numRuns: 30 },
  );
});

t.test("a way that is longer from now on is learned: the rate comes back though the delay stays", async (t) => {
  const rttAt = (ms: number) => (ms < 10_000 ? 10 : 60);
  const frames = send({ capacityAt: () => 50e6, rttAt, chance: chanceOf(7) }, 25_000);
  t.equal(bitsOf(between(frames, 8_000, 10_000)), BOUNDS.bitsPerSecondMax);
  const after = bitsOf(between(frames, 22_000, 25_000));
  t.ok(after > 0.95 * BOUNDS.bitsPerSecondMax, `${after} bit/s`);
});

t.test("bit rate goes first, then resolution, then the frame rate; and comes back in the other order", async (t) => {
  const capacityAt = (ms: number) => (ms < 5_000 || ms >= 25_000 ? 20e6 : ms < 15_000 ? 3e6 : 0.5e6);
  const frames = send({ capacityAt, chance: chanceOf(3) }, 45_000);
  const steps = frames.map(({ step }) => step);
  const first = frames.find(({ bitsPerSecond }) => bitsPerSecond < BOUNDS.bitsPerSecondMax);
  t.equal(first?.step, 0, "a lower bit rate is the first answer");
  t.ok(steps.includes(STEPS.length - 1), "half the rate is the last");
  const back = between(frames, 25_500, 45_000).map(({ step }) => step);
  t.same(
    back,
    back.toSorted((a, b) => b - a),
    "one after the other",
  );
  t.equal(frames.at(-1)?.step, 0);
  t.equal(frames.at(-1)?.bitsPerSecond, BOUNDS.bitsPerSecondMax);
});

t.test("frames that are not sent or not answered lower the rate without a report, down to the floor", async (t) => {
  for (const kind of ["dropped", "unanswered"] as const) {
    let state = firstRate(BOUNDS);
    const rates = Array.from({ length: 30 }, (_, at) => {
      state = nextRate(state, { kind }, { nowMs: at * 600, sentFrame: at }, BOUNDS);
      return state.bitsPerSecond;
    });
    t.ok((rates[0] ?? 0) < BOUNDS.bitsPerSecondMax, kind);
    t.same(
      rates,
      rates.toSorted((a, b) => b - a),
      kind,
    );
    t.equal(state.bitsPerSecond, BITS_PER_SECOND_FLOOR, kind);
  }
});

t.test("a report of frames that were sent before the rate was lowered does not lower it again", async (t) => {
  let state = firstRate(BOUNDS);
  let nowMs = 0;
  const after = (newestFrame: number, networkMsMin: number): number => {
    const report = {
      newestFrame,
      framesArrived: newestFrame - state.reportedFrame,
      bytes: 9_000,
      spanMs: 30,
      networkMsMin,
    };
    nowMs += 100;
    state = nextRate(state, { kind: "report", report }, { nowMs, sentFrame: 20 }, BOUNDS);
    return state.bitsPerSecond;
  };
  const before = after(5, 10);
  const lowered = after(10, 60);
  t.ok(lowered < before);
  t.equal(after(15, 90), lowered, "sent before");
  t.equal(after(20, 120), lowered, "the last of them");
  t.ok(after(25, 150) < lowered, "and after it");
});

t.test(
  "what arrives through a queue is what the way carries, though it was sent before; said again, it lowers no further",
  async (t) => {
    let state = nextRate(firstRate(BOUNDS), { kind: "dropped" }, { nowMs: 1_000, sentFrame: 40 }, BOUNDS);
    const before = state.bitsPerSecond;
    const rates = [10, 400, 800, 1_200].map((networkMsMin, at) => {
      const report = { newestFrame: 10 + at, framesArrived: 1, bytes: 10_000, spanMs: 100, networkMsMin };
      state = nextRate(state, { kind: "report", report }, { nowMs: 1_100 + at * 100, sentFrame: 44 }, BOUNDS);
      return state.bitsPerSecond;
    });
    t.equal(rates[0], before);
    t.same(
      rates.slice(1),
      [before * 0.5, 200_000, 200_000],
      "at first a little, then a quarter of the 800 kbit/s that arrive",
    );
  },
);
