/**
 * Invariants of a session's stability:
 *   1. A session whose pool keeps its limit never breaks away.
 *   2. One whose pool is over its limit, or does not answer, leaves at once where another pool keeps its own.
 *   3. Where none keeps it, it leaves at once only for half of the round trip.
 *   4. A gain moves a session only at the third reading running, a third of the round trip at the least, and still there.
 *   5. A session is never moved to where it is, nor from within its limit to beyond one.
 *   6. A refused move leaves the session where it is, and the next reading asks again.
 *   7. The table of transitions is total, and no judgement reaches a transition that cannot happen.
 */
import fc from "fast-check";
import t from "tap";
import {
  concludeMove,
  EVENTS,
  judgeReading,
  PHASES,
  type PoolReading,
  type SessionStability,
  settle,
  TRANSITIONS,
} from "./stability.ts";

const LIMIT_MS = 30;

function read(rtts: Readonly<Record<string, number>>): PoolReading[] {
  return Object.entries(rtts).map(([pool, rttMs]) => ({ pool, rttMs, rttLimitMs: LIMIT_MS }));
}

/** Moves after each reading, all granted. */
function movesOf(pool: string, readings: readonly Readonly<Record<string, number>>[]): (string | undefined)[] {
  let stability = settle(pool, read(readings[0] ?? {}));
  return readings.map((rtts) => {
    const step = judgeReading(stability, read(rtts));
    stability = step.move === undefined ? step.stability : concludeMove(step.stability, { movedTo: step.move.to });
    return step.move && `${step.move.because} to ${step.move.to}`;
  });
}

t.test("2: over the limit, the session leaves at once for the nearest that keeps it", async (t) => {
  t.same(movesOf("a", [{ a: 31, b: 29, c: 28 }]), ["break to c"]);
  t.same(movesOf("a", [{ a: Number.POSITIVE_INFINITY, b: 29 }]), ["break to b"]);
  t.same(movesOf("gone", [{ b: 29 }]), ["break to b"]);
});

t.test("2: of two as near, the one that has been calmer", async (t) => {
  const first = settle("a", read({ a: 10, b: 80, c: 20 }));
  t.equal(judgeReading(first, read({ a: 90, b: 20, c: 20 })).move?.to, "c");
});

t.test("2: the limit is each pool's own", async (t) => {
  const slow = { pool: "a", rttMs: 31, rttLimitMs: 30 };
  const near = { pool: "b", rttMs: 12, rttLimitMs: 10 };
  const fast = { pool: "c", rttMs: 35, rttLimitMs: 40 };
  t.equal(judgeReading(settle("a", [slow]), [slow, near, fast]).move?.to, "c");
});

t.test("3: where no pool keeps the limit, half of the round trip has to go", async (t) => {
  t.same(movesOf("a", [{ a: 100, b: 51 }]), [undefined]);
  t.same(movesOf("a", [{ a: 100, b: 49 }]), ["break to b"]);
});

t.test("4: a gain has to be sustained, relative and still there", async (t) => {
  const gain = { a: 24, b: 12 };
  t.same(movesOf("a", [gain, gain, gain, gain]), [undefined, undefined, "sustained-gain to b", undefined]);
  t.same(movesOf("a", Array(6).fill({ a: 24, b: 17 })), Array(6).fill(undefined), "less than a third");
  t.same(movesOf("a", Array(6).fill({ a: 6, b: 1 })), Array(6).fill(undefined), "5 ms");
  t.same(movesOf("a", [gain, gain, { a: 12, b: 12 }]), Array(3).fill(undefined), "over in the last reading");
  t.same(movesOf("a", [gain, gain, { a: 1, b: 28 }, gain]), Array(4).fill(undefined), "not running");
});

t.test("5: a gain within a limit is no reason to go beyond one", async (t) => {
  const readings = [
    { pool: "a", rttMs: 25, rttLimitMs: 30 },
    { pool: "b", rttMs: 12, rttLimitMs: 10 },
  ];
  let stability = settle("a", readings);
  for (let count = 0; count < 6; count += 1) {
    const step = judgeReading(stability, readings);
    t.equal(step.move, undefined, `reading ${count}`);
    stability = step.stability;
  }
});

t.test("6: a refused move is asked for again", async (t) => {
  const first = judgeReading(settle("a", read({ a: 90, b: 10 })), read({ a: 90, b: 10 }));
  const refused = concludeMove(first.stability, "refused");
  t.match(refused, { pool: "a", phase: "wavering" });
  t.equal(judgeReading(refused, read({ a: 90, b: 10 })).move?.to, "b");
  t.equal(judgeReading(refused, read({ a: 9, b: 10 })).move, undefined, "unless it is over");
  const gain = read({ a: 24, b: 12 });
  let waiting: SessionStability = settle("a", gain);
  for (let count = 0; count < 3; count += 1) waiting = judgeReading(waiting, gain).stability;
  t.equal(waiting.phase, "leaving");
  t.equal(judgeReading(concludeMove(waiting, "refused"), gain).move?.because, "sustained-gain");
});

t.test("7: the table is total", async (t) => {
  for (const phase of PHASES) t.same(Object.keys(TRANSITIONS[phase]).toSorted(), EVENTS.toSorted(), phase);
});

t.test("1, 2, 3, 5, 7: whatever is read", async (t) => {
  const reading = fc.record({ a: fc.nat(120), b: fc.nat(120), c: fc.nat(120) });
  const runs = fc.array(fc.tuple(reading, fc.boolean()), { minLength: 1, maxLength: 30 });
  const holds = fc.property(runs, (steps) => {
    let stability = settle("a", read(steps[0]?.[0] ?? {}));
    return steps.every(([rtts, isGranted]) => {
      const rttOf = (pool: string) => read(rtts).find((one) => one.pool === pool)?.rttMs ?? Number.NaN;
      const { stability: after, move } = judgeReading(stability, read(rtts));
      const nowMs = rttOf(stability.pool);
      const keptElsewhere = Object.values(rtts).some((rttMs) => rttMs <= LIMIT_MS);
      const isRight =
        move === undefined
          ? nowMs <= LIMIT_MS || !keptElsewhere
          : move.to !== stability.pool &&
            (move.because === "sustained-gain" || nowMs > LIMIT_MS) &&
            (rttOf(move.to) <= LIMIT_MS || (nowMs > LIMIT_MS && rttOf(move.to) < nowMs)) &&
            after.phase === "leaving";
      stability = move === undefined ? after : concludeMove(after, isGranted ? { movedTo: move.to } : "refused");
      return isRight;
    });
  });
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 500 }));
});
