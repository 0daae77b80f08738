/**
 * Invariants of the rules of moves:
 *   1. A session whose pool keeps its limit may not move before what is better has been so for as long as its policy says.
 *   2. Nor may it within the dwelling time after a move.
 *   3. One whose pool is beyond the limit while another keeps it may move at the second reading that shows it.
 */
import fc from "fast-check";
import t from "tap";
import {
  BREAK_CONFIRMED_MS_MIN,
  concludeRenewal,
  explainRule,
  historyAt,
  judgeRenewal,
  type MoveHistory,
  moveTermsOf,
} from "./move-rule.ts";

const LIMIT_MS = 30;
const TERMS = moveTermsOf(2);

function read(rtts: Readonly<Record<string, number>>) {
  return Object.entries(rtts).map(([pool, rttMs]) => ({ pool, rttMs, rttLimitMs: LIMIT_MS }));
}

t.test("what a policy says goes before the defaults, and stickiness counts where it says nothing", async (t) => {
  t.match(moveTermsOf(2), { gainMin: { gainMs: 5 }, sustainedMs: 30_000, dwellMs: 120_000 });
  t.match(moveTermsOf(8), { gainMin: { gainMs: 8 } });
  const calm = moveTermsOf(8, { gainMs: 1, gainRatio: 0.1, sustainedSeconds: 5 });
  t.same(calm, { gainMin: { gainMs: 1, gainRatio: 0.1 }, sustainedMs: 5_000, dwellMs: 20_000 });
  let history = historyAt("a", undefined);
  const said = [0, 5_000, 10_000].map((nowMs) => {
    const judged = judgeRenewal(history, read({ a: 24, b: 20 }), calm, nowMs);
    history = judged.history;
    return judged.wait ?? explainRule(judged.rule);
  });
  t.equal(said[2], "soft degradation of 4.0 ms for 10 s, 3 of 3 readings");
});

t.test("a session that is found elsewhere is judged anew, and dwells as before", async (t) => {
  const known = concludeRenewal(historyAt("a", undefined), { movedTo: "b" }, 1_000);
  t.equal(historyAt("b", known), known);
  t.match(historyAt("a", known), { stability: { pool: "a", gains: 0 }, movedAtMs: 1_000 }, "it could not connect at b");
});

t.test(
  "three readings in a moment are not sustained, and three over a minute with one that shows nothing neither",
  async (t) => {
    const gain = read({ a: 24, b: 12 });
    const waitsOf = (times: readonly number[], readings = times.map(() => gain)) => {
      let history = historyAt("a", undefined);
      return times.map((atMs, at) => {
        const judged = judgeRenewal(history, readings[at] ?? gain, TERMS, atMs);
        history = judged.history;
        return judged.wait;
      });
    };
    t.equal(waitsOf([0, 1, 2])[2], "soft degradation of 12.0 ms for 0 s of 30 s");
    t.equal(waitsOf([0, 40_000])[1], "soft degradation of 12.0 ms for 40 s of 30 s, 2 of 3 readings");
    t.equal(waitsOf([0, 20_000, 40_000])[2], undefined);
    const over = [gain, gain, read({ a: 14, b: 12 })];
    t.match(waitsOf([0, 20_000, 40_000], over)[2], /for 40 s of 30 s, not in the last reading$/);
  },
);

t.test("1, 2, 3: whatever is read, and whatever comes of it", async (t) => {
  const reading = fc.record({ a: fc.nat(60), b: fc.nat(60), c: fc.nat(60) });
  const end = fc.constantFrom("stays", "finds-better", "moves" as const);
  const run = fc.array(fc.tuple(reading, end, fc.integer({ min: BREAK_CONFIRMED_MS_MIN, max: 40_000 })), {
    minLength: 1,
    maxLength: 30,
  });
  const holds = fc.property(run, (steps) => {
    let history: MoveHistory = historyAt("a", undefined);
    let [nowMs, movedAtMs, beganMs] = [0, Number.NEGATIVE_INFINITY, 0];
    let wasBroken = false;
    return steps.every(([rtts, outcome, gapMs]) => {
      nowMs += gapMs;
      const { pool } = history.stability;
      const keeps = (name: "a" | "b" | "c") => rtts[name] <= LIMIT_MS;
      const judged = judgeRenewal(history, read(rtts), TERMS, nowMs);
      const own = pool === "a" ? "a" : pool === "b" ? "b" : "c";
      const isBroken = !keeps(own) && (keeps("a") || keeps("b") || keeps("c"));
      const isRight = keeps(own)
        ? judged.wait !== undefined || (nowMs - movedAtMs >= TERMS.dwellMs && nowMs - beganMs >= TERMS.sustainedMs)
        : !isBroken || (judged.wait === undefined) === wasBroken;
      const mayMove = outcome === "moves" && judged.wait === undefined;
      const to = own === "a" ? "b" : "a";
      const came = mayMove ? { movedTo: to } : { isBetterElsewhere: outcome !== "stays" };
      history = concludeRenewal(judged.history, came, nowMs);
      wasBroken = isBroken && !mayMove;
      if (mayMove) [movedAtMs, beganMs] = [nowMs, nowMs];
      return isRight;
    });
  });
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 500 }));
});
