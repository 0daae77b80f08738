/** What fits beside what, and what frames' times say of a class. */
import fc from "fast-check";
import t from "tap";
import { calibrationOf, estimateFrom, fitsPeriod } from "./calibration.ts";
import { type SessionCost, sessionsThatFit, slotCounts } from "./room.ts";

const cost = fc.record({ shareRatio: fc.double({ min: 0, max: 1, noNaN: true }), memoryBytes: fc.nat({ max: 1000 }) });
const room = fc.record({ slotsMax: fc.integer({ min: 1, max: 20 }), memoryBytes: fc.nat({ max: 5000 }) });

t.test("as many as are said to fit do fit, one after the other, and not one more", async (t) => {
  fc.assert(
    fc.property(cost, fc.array(cost, { maxLength: 10 }), room, (one, running, room) => {
      const fitting = sessionsThatFit(one, running, room);
      const all: SessionCost[] = [...running];
      for (let count = 0; count < fitting; count += 1) {
        if (sessionsThatFit(one, all, room) < 1) return false;
        all.push(one);
      }
      return all.length <= Math.max(room.slotsMax, running.length) && sessionsThatFit(one, all, room) === 0;
    }),
  );
  t.pass("held");
});

t.test(
  "classes share one machine: a session of one takes room from all, and one always fits an empty one",
  async (t) => {
    const room = { slotsMax: 8, memoryBytes: 1_000 };
    const [half, quarter] = [
      { shareRatio: 0.5, memoryBytes: 10 },
      { shareRatio: 0.25, memoryBytes: 10 },
    ];
    const classes = [
      { renderClass: "large", cost: half, frameMsP95: 20 },
      { renderClass: "small", cost: quarter, frameMsP95: 8 },
      { renderClass: "none", cost: undefined, frameMsP95: 0 },
    ];
    t.match(slotCounts(classes, [half], room), [
      { renderClass: "large", total: 2, free: 1 },
      { renderClass: "small", total: 4, free: 2 },
      { renderClass: "none", total: 0, free: 0 },
    ]);
    t.equal(sessionsThatFit({ shareRatio: 1, memoryBytes: 9_999 }, [], room), 1);
    t.equal(
      sessionsThatFit({ shareRatio: 0.1, memoryBytes: 0 }, Array(9).fill({ shareRatio: 0.1, memoryBytes: 0 }), {
        slotsMax: 20,
        memoryBytes: 0,
      }),
      1,
    );
  },
);

t.test("two that drew as fast as they could say how many keep their rate", async (t) => {
  const framesOf = (ms: number) => Array(20).fill(ms);
  const measured = { detail: 0.5, alone: framesOf(6), together: framesOf(10) };
  t.same(calibrationOf(measured, 30), { detail: 0.5, slots: 6, frameMsP95: 6 });
  t.same(calibrationOf({ ...measured, together: framesOf(90) }, 30).slots, 1, "one at least");
  t.ok(fitsPeriod(framesOf(23), 30));
  t.notOk(fitsPeriod(framesOf(24), 30));
});

t.test("a class that was not measured is estimated by pixels and rate", async (t) => {
  const size = { eyeWidthPixels: 100, eyeHeightPixels: 100, frameRateHz: 30 };
  const measured = { size, calibration: { detail: 0.5, slots: 8, frameMsP95: 4 } };
  t.same(estimateFrom(measured, { ...size, eyeWidthPixels: 200, frameRateHz: 60 }), {
    detail: 0.5,
    slots: 2,
    frameMsP95: 8,
  });
});
