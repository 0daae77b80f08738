/** What fits beside what, and what frames' times say of a class. */
import fc from "fast-check";
import t from "tap";
import type { RehearsedFrames } from "../session/rehearsal.ts";
import {
  calibrationOf,
  estimateFrom,
  fitsPeriod,
  frameMsMax,
  judgeLevel,
  type LevelOutcome,
  nextLevel,
  SESSIONS_MEASURED_MAX,
} from "./calibration.ts";
import { describeFull, type SessionCost, sessionsThatFit, slotCounts } from "./room.ts";

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

const machine = { processors: 2, isSoftware: false };

/** Of one session at 30 Hz, watched for a second. */
function framesOf(ms: number, { frames = 30, cores = 0.5 } = {}): RehearsedFrames {
  const framesMs: readonly number[] = Array(frames).fill(ms);
  return { framesMs, renderEncodeMs: framesMs, windowMs: 1_000, cpuMs: cores * 1_000 };
}

t.test("a level is held where every session has its frames, in time, and the reserve is left", async (t) => {
  const judge = (level: readonly RehearsedFrames[]) => judgeLevel(level, 30, machine);
  t.match(judge([framesOf(9), framesOf(19)]), { sessions: 2, isHeld: true, frameMsP95: 19, busyRatio: 0.5 });
  const missed: Readonly<Record<string, readonly RehearsedFrames[]>> = {
    "the slowest is late": [framesOf(9), framesOf(21)],
    "one starves": [framesOf(9), framesOf(9, { frames: 28 })],
    "the reserve is used": [framesOf(9, { cores: 0.8 }), framesOf(9, { cores: 0.9 })],
    "one has none": [framesOf(9), framesOf(0, { frames: 0 })],
  };
  for (const [why, level] of Object.entries(missed)) t.notOk(judge(level).isHeld, why);
  const software = { ...machine, isSoftware: true };
  const judgeDrawn = (cores: number) =>
    judgeLevel([framesOf(9, { cores }), framesOf(9, { cores })], 30, software).isHeld;
  t.ok(judgeDrawn(0.5), "where software draws half is left");
  t.notOk(judgeDrawn(0.51));
  t.ok(judge([framesOf(9, { frames: 29 })]).isHeld, "the edges of the time it was watched cost no frame");
  t.equal(frameMsMax(90), 1_000 / 90, "at a high rate the period is less than the share of the budget");
  t.ok(fitsPeriod([20, 20, 99], 30), "a neighbour's moment");
  t.notOk(fitsPeriod([5, 21, 21], 30));
});

/** Runs levels on a machine that holds so many, as calibration does. */
function search(
  holds: number,
  sessionsMax: number,
  coresEach: number,
): { tried: number[]; slots: number; over: number } {
  const seen: LevelOutcome[] = [];
  const next = (): number | undefined => nextLevel(seen, sessionsMax, machine);
  for (let count = next(); count !== undefined; count = next()) {
    const [ms, cores] = [count <= holds ? 10 : 20 + count, coresEach];
    seen.push(
      judgeLevel(
        Array.from({ length: count }, () => framesOf(ms, { cores })),
        30,
        machine,
      ),
    );
  }
  const { slots, overMsP95 } = calibrationOf(1, seen);
  return { tried: seen.map(({ sessions }) => sessions), slots, over: overMsP95 };
}

t.test(
  "one, two, four and more run until they do not hold, then what is between; no more than were seen",
  async (t) => {
    t.same(search(3, 9, 0.01), { tried: [1, 2, 4, 3], slots: 3, over: 24 }, "the value of one more was measured");
    t.same(search(5, 99, 0.01), { tried: [1, 2, 4, 8, 6, 5], slots: 5, over: 26 });
    t.same(search(9, 2, 0.01), { tried: [1, 2], slots: 2, over: 15 }, "an agent's places");
    t.same(search(9, 99, 0.5), { tried: [1, 2, 3], slots: 3, over: 40 / 3 }, "the reserve says it before it is tried");
    t.same(search(99, 99, 0.01).slots, SESSIONS_MEASURED_MAX);
    t.same(search(0, 9, 0.01), { tried: [1], slots: 1, over: 42 }, "one at least, and slow is told");
  },
);

t.test("who finds no room hears what is missing, and the best that could be had", async (t) => {
  const [cost, room] = [
    { shareRatio: 0.5, memoryBytes: 4 },
    { slotsMax: 3, memoryBytes: 8 },
  ];
  const frames = { msMax: 20, fullMsP95: 16 };
  const describe = (running: readonly SessionCost[], changes = {}) =>
    describeFull({ cost, frames, running, room: { ...room, ...changes } });
  t.match(
    describe([cost, cost]),
    "2 sessions run; frames of one more would take 24.0 ms at best (p95), instead of the 20.0 ms",
  );
  t.match(describe([cost, cost], { slotsMax: 2 }), "2 sessions run, as many as this agent has places for");
  t.match(describe([cost], { memoryBytes: 7 }), "1 session runs, and the memory that is left");
  const light = describeFull({ cost, frames: { ...frames, fullMsP95: 10 }, running: [cost, cost], room });
  t.match(light, "would take 15.0 ms at best (p95), of the 20.0 ms that they may take, out of the reserve");
});

t.test("a class that was not measured is estimated by pixels and rate", async (t) => {
  const size = { eyeWidthPixels: 100, eyeHeightPixels: 100, frameRateHz: 30 };
  const measured = { size, calibration: { detail: 0.5, slots: 8, frameMsP95: 4, overMsP95: 9 } };
  t.same(estimateFrom(measured, { ...size, eyeWidthPixels: 200, frameRateHz: 60 }), {
    detail: 0.5,
    slots: 2,
    frameMsP95: 8,
    overMsP95: 18,
  });
});
