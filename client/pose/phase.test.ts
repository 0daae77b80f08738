/** Pictures come just before the display draws, whatever they take and whatever its rate. */
import fc from "fast-check";
import t from "tap";
import { seededRandom } from "#platform/random.ts";
import { createPhaseAlignment } from "./phase.ts";

/** Poses of each frame of a display, and of each picture whether it is the newest when a frame is drawn. */
function show(periodMs: number, pathMs: () => number, frames: number, align = createPhaseAlignment()) {
  const waitsMs: number[] = [];
  let landings: { landMs: number; pathMs: number }[] = [];
  let unseen = 0;
  for (let frame = 0; frame < frames; frame += 1) {
    const nowMs = frame * periodMs;
    const landed = landings.filter(({ landMs }) => landMs <= nowMs).toSorted((a, b) => a.landMs - b.landMs);
    landings = landings.filter(({ landMs }) => landMs > nowMs);
    for (const picture of landed) align.pictureCame(picture.pathMs);
    const newest = landed.at(-1);
    if (newest !== undefined) waitsMs.push(nowMs - newest.landMs);
    unseen += Math.max(0, landed.length - 1);
    align.displayFrame(nowMs);
    const path = pathMs();
    landings.push({ landMs: nowMs + align.delayMs() + path, pathMs: path });
  }
  return { waitsMs, unseen };
}

t.test("after a while pictures wait for the display no longer than their own jitter and a little", async (t) => {
  const ways = fc.record({
    periodMs: fc.double({ min: 8, max: 34, noNaN: true }),
    leastMs: fc.double({ min: 3, max: 80, noNaN: true }),
    seed: fc.integer({ min: 1, max: 1_000_000 }),
  });
  fc.assert(
    fc.property(ways, ({ periodMs, leastMs, seed }) => {
      const random = seededRandom(seed);
      const jitterMs = periodMs * 0.4;
      const { waitsMs } = show(periodMs, () => leastMs + random.ratio() * jitterMs, 600);
      const settled = waitsMs.slice(300);
      // The margin, and what is not worth moving for; one picture in fifty comes later, and waits for the next frame.
      const most = jitterMs + 1 + 0.15 * periodMs + 0.1;
      const late = settled.filter((waitMs) => waitMs > most).length;
      t.ok(late <= settled.length * 0.1, `${late} of ${settled.length} waited more than ${most} ms`);
    }),
  );
});

t.test("pictures that came just about when the display drew are seen, not overtaken by the next", async (t) => {
  const random = seededRandom(3);
  const pathMs = (): number => 14 + random.ratio() * 6;
  const idle = { displayFrame: () => undefined, pictureCame: () => undefined, delayMs: () => 0, periodMs: () => 0 };
  const unaligned = show(1000 / 60, pathMs, 600, idle);
  const aligned = show(1000 / 60, pathMs, 600);
  t.ok(unaligned.unseen > 100, `${unaligned.unseen} of 600 were overtaken without`);
  t.ok(aligned.unseen < unaligned.unseen / 3, `${aligned.unseen} with`);
});

t.test("the delay is below a display's frame, 0 until something is known", async (t) => {
  const align = createPhaseAlignment();
  t.equal(align.delayMs(), 0);
  for (let picture = 0; picture < 200; picture += 1) align.pictureCame(20);
  t.equal(align.delayMs(), 0, "nothing is known of the display");
  align.displayFrame(0);
  align.displayFrame(0);
  align.displayFrame(10);
  for (let picture = 0; picture < 100; picture += 1) align.pictureCame(24);
  t.ok(Math.abs(align.delayMs() - 5) < 1e-9, `${align.delayMs()} ms: 24, 1 and 5 are 30`);
});
