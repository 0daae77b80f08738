/** How many connections a frame needs, and which of its fragments go by which. */
import fc from "fast-check";
import t from "tap";
import { STRIPES_MAX } from "#contracts/media/control.ts";
import { FRAGMENTS_PER_STRIPE, planStripes, spreadFragments } from "./spread.ts";

t.test("more fragments want more connections, up to what there may be; a handful wants one", async (t) => {
  t.equal(planStripes(1, 1), 1);
  t.equal(planStripes(4, 1), 1);
  t.equal(planStripes(3_000, 600), STRIPES_MAX);
  fc.assert(
    fc.property(fc.nat({ max: 400 }), fc.nat({ max: 100 }), (dataCount, parityCount) => {
      const stripes = planStripes(dataCount, parityCount);
      t.ok(stripes >= 1 && stripes <= STRIPES_MAX && stripes <= planStripes(dataCount + 1, parityCount));
    }),
  );
});

const frames = fc.record({
  frameNumber: fc.nat(),
  dataCount: fc.integer({ min: 1, max: 200 }),
  parityCount: fc.integer({ min: 1, max: 60 }),
});
const counted = (stripes: readonly number[]): number[] =>
  Array.from(new Set(stripes), (stripe) => stripes.filter((other) => other === stripe).length);

t.test("each fragment has a connection, and none has more than another of data, or of all", async (t) => {
  fc.assert(
    fc.property(frames, fc.integer({ min: 1, max: STRIPES_MAX }), (frame, stripes) => {
      const spread = [...spreadFragments(frame, stripes)];
      t.equal(spread.length, frame.dataCount + frame.parityCount);
      t.ok(spread.every((stripe) => stripe < stripes));
      const counts = counted(spread.slice(0, frame.dataCount));
      t.ok(Math.max(...counts) - Math.min(...counts) <= 1, `${counts} of ${frame.dataCount} by ${stripes}`);
    }),
  );
});

t.test("parity goes by none of its data's connections where as many are open as were planned", async (t) => {
  fc.assert(
    fc.property(frames, (frame) => {
      const { dataCount, parityCount } = frame;
      const planned = planStripes(dataCount, parityCount);
      if (planned === 1 || planned === STRIPES_MAX) return;
      const spread = [...spreadFragments(frame, planned)];
      const carriesData = new Set(spread.slice(0, dataCount));
      const apart = spread.slice(dataCount).every((stripe) => !carriesData.has(stripe));
      t.ok(apart, `${dataCount} and ${parityCount} by ${planned}`);
      t.ok(Math.max(...counted(spread)) <= FRAGMENTS_PER_STRIPE, `${spread}`);
    }),
    { numRuns: 1_000 },
  );
});

t.test("with fewer connections than planned none has more than its part of all", async (t) => {
  const spread = [...spreadFragments({ frameNumber: 5, dataCount: 12, parityCount: 3 }, 2)];
  t.same(counted(spread).sort(), [7, 8]);
});

t.test("frame by frame each connection has its turn at the parity", async (t) => {
  const parityBy = (frameNumber: number) => spreadFragments({ frameNumber, dataCount: 11, parityCount: 3 }, 4).at(-1);
  t.equal(new Set([1, 2, 3, 4].map(parityBy)).size, 4);
});
