import t from "tap";
import { rowsOf, SIZES, sizeOf, targetOf, WAYS, wayOf } from "./cases.ts";
import { findValue, type Measure, measureStart, measureWindow, mediansOf } from "./measures.ts";
import type { FrameRecord, WindowRecord } from "./records.ts";

const RATE = { frameRateHz: 50 };
const PERIOD_MS = 20;
/** The page's clock begins here; that of the agents and of the library is an epoch. */
const EPOCH_MS = 1_000_000;

/** 1 ms up, 1 waiting, 3 rendering, 2 encoding, 4 down, 1 decoding. */
function frame(number: number, lateMs = 0): FrameRecord {
  const poseSampledAtMs = EPOCH_MS + number * PERIOD_MS;
  const decodedAtMs = poseSampledAtMs + 12 + lateMs;
  return {
    ...{ frameNumber: number, poseId: number, poseSampledAtMs, poseReceivedAtMs: poseSampledAtMs + 1 },
    ...{ sentAtMs: poseSampledAtMs + 7, arrivedAtMs: decodedAtMs - 1, decodedAtMs, notedAtMs: decodedAtMs - EPOCH_MS },
    remotePathMs: 12 + lateMs,
    parts: { networkMs: 5 + lateMs, waitMs: 1, renderMs: 3, encodeMs: 2, decodeMs: 1 },
  };
}

/** Frames of a second, each drawn some time after it was decoded. */
function second(frames: readonly FrameRecord[]): WindowRecord {
  return {
    ...{ fromMs: PERIOD_MS, toMs: 1_000 + PERIOD_MS },
    frames: [...frames],
    poses: Array.from({ length: 50 }, (_, at) => ({ poseId: at + 1, atMs: (at + 1) * PERIOD_MS })),
    drawings: frames.map(({ poseId, notedAtMs }) => ({ poseId, atMs: notedAtMs + 3 })),
  };
}

const all = Array.from({ length: 50 }, (_, at) => frame(at + 1));
const measure = (window: WindowRecord, name: string): number | undefined =>
  findValue(measureWindow(window, RATE) ?? [], name);

t.test("a window gives the whole, its parts by the library's rule, and what became of the frames", async (t) => {
  const expected = {
    ...{ "pose to decoded p50": 12, "network p50": 5, "wait p50": 1, "render p95": 3, "encode p99": 2 },
    ...{ "decode p50": 1, "network up p50": 1, "network down p50": 4, "frames decoded": 100, "frames shown": 100 },
    ...{ "frames shown, decoded within 30 ms": 100, "freezes over 100 ms": 0, "frame rate": 50 },
  };
  for (const [name, value] of Object.entries(expected)) t.equal(measure(second(all), name), value, name);
  t.equal(measureWindow(second([]), RATE), undefined, "nothing is not measured");
});

t.test("frames that were late, were replaced before they were drawn, or never came lower their share", async (t) => {
  const late = all.map((one, at) => (at < 5 ? frame(one.frameNumber, 40) : one));
  t.equal(measure(second(late), "frames shown"), 100);
  t.equal(measure(second(late), "frames shown, decoded within 30 ms"), 90);
  const replaced = { ...second(all), drawings: second(all).drawings.filter(({ poseId }) => poseId % 2 === 0) };
  t.equal(measure(replaced, "frames shown"), 50);
  t.equal(measure(replaced, "frames decoded"), 100);
  const lost = second(all.filter(({ frameNumber }) => frameNumber % 10 !== 0));
  t.equal(measure(lost, "frames shown"), 90);
  const slow = second(all.slice(0, 25));
  t.equal(measure(slow, "frames shown"), 50, "frames that were never rendered were due by the rate");
});

t.test(
  "a picture that stands still is a freeze, at the window's edges too, and drawn again it is no other",
  async (t) => {
    const gap = second(all.filter((_, at) => at < 20 || at >= 26));
    t.equal(measure(gap, "freezes over 100 ms"), 1);
    t.equal(measure(gap, "longest time with one picture"), 7 * PERIOD_MS);
    const again = {
      ...gap,
      drawings: [...gap.drawings, { poseId: 20, atMs: 450 }].toSorted((a, b) => a.atMs - b.atMs),
    };
    t.equal(measure(again, "longest time with one picture"), 7 * PERIOD_MS);
    t.equal(measure(second(all.slice(0, 40)), "freezes over 100 ms"), 1, "from the last picture to the end");
  },
);

t.test("parts that do not add up to what the page's own clock says are seen", async (t) => {
  const name = "parts beside the whole, p99 of frames";
  t.ok((measure(second(all), name) ?? 1) < 1e-6);
  const skewed = all.map((one) => ({ ...one, parts: { ...one.parts, networkMs: 10 } }));
  const window = { ...second(all), frames: skewed };
  t.ok(Math.abs((measure(window, name) ?? 0) - 5) < 1e-6, "a clock of the library that is 5 ms off");
});

t.test("a start is its parts", async (t) => {
  const moments = {
    ...{ openedAtMs: 10, createAtMs: 12, createdAtMs: 22, probedAtMs: 40, placedAtMs: 50, offeredAtMs: 60 },
    ...{ leasedAtMs: 160, arrivedAtMs: 200, decodedAtMs: 203, drawnAtMs: 210 },
  };
  const [whole, ...parts] = measureStart(moments);
  t.match(whole, { name: "first frame", value: 200 });
  t.equal(
    parts.reduce((sum, { value }) => sum + value, 0),
    200,
  );
  t.equal(findValue(parts, "first frame: lease"), 100);
});

t.test("medians are of the runs, each measure by itself", async (t) => {
  const run = (p50: number, p95: number): readonly Measure[] => [
    { name: "p50", value: p50, unit: "ms" },
    { name: "p95", value: p95, unit: "ms" },
  ];
  t.same(mediansOf([run(1, 30), run(3, 10), run(2, 20)]), run(2, 20));
  t.same(mediansOf([]), []);
});

t.test("what is promised of a size over a link is what its rows are judged by", async (t) => {
  const [small, middle, large] = SIZES;
  const [loopback] = WAYS;
  if (small === undefined || middle === undefined || large === undefined || loopback === undefined)
    throw new Error("there are sizes and links");
  const lossy = wayOf(10, 0, 1);
  const p95 = "pose to decoded p95";
  t.same(
    SIZES.map((size) => targetOf(size, loopback, p95).target),
    [12, 18, 22, 28],
  );
  t.same(
    SIZES.map((size) => targetOf(size, lossy, p95).target),
    [null, 30, 32, null],
  );
  t.equal(targetOf(large, lossy, "pose to decoded p50").target, 26);
  t.equal(targetOf(middle, wayOf(20, 0, 0), p95).target, null);
  t.same(targetOf(small, loopback, "frames shown"), { target: 98, atLeast: true });
  t.equal(targetOf(small, wayOf(10, 5, 2), "freezes over 100 ms").target, 0);
  for (const way of WAYS) t.equal(targetOf(small, way, "parts beside the whole, p99 of frames").target, 1, way.name);
  const measures = [{ name: p95, value: 11.996, unit: "ms" }];
  t.match(
    rowsOf("here", measures, (name) => targetOf(small, loopback, name)),
    [{ row: `here: ${p95}`, value: 12, target: 12 }],
  );
  t.match(rowsOf("here", measures, undefined), [{ target: null }]);
});

t.test("a size is one of the promised, or any that is written out", async (t) => {
  t.equal(sizeOf("320x360"), SIZES[1]);
  t.match(sizeOf("1440x1600@72"), { eyeWidthPixels: 1440, eyeHeightPixels: 1600, frameRateHz: 72 });
  t.equal(sizeOf("1440x1600@72")?.decodedMsP95Max, undefined);
  for (const text of ["", "1440x1600", "1440x1600@0", "0x1600@72", "14400x16@72", "320x360@60 ", "x@"]) {
    t.equal(sizeOf(text), undefined, text);
  }
});
