import fc from "fast-check";
import t from "tap";
import { decideRenewal, type RenewalFacts } from "./renewal.ts";

const DAY_MS = 86_400_000;
const START_MS = Date.UTC(2026, 0, 1);
const NINETY_DAYS = { notBeforeMs: START_MS, notAfterMs: START_MS + 90 * DAY_MS };
const NEVER_FAILED = { failures: 0, jitter: 0 };

t.test("a table of cases", async (t) => {
  const cases: [string, RenewalFacts, number, ReturnType<typeof decideRenewal>][] = [
    ["none", NEVER_FAILED, START_MS, { kind: "order", because: "absent" }],
    [
      "young",
      { ...NEVER_FAILED, current: NINETY_DAYS },
      START_MS + 59 * DAY_MS,
      { kind: "wait", untilMs: START_MS + 60 * DAY_MS },
    ],
    ["due", { ...NEVER_FAILED, current: NINETY_DAYS }, START_MS + 60 * DAY_MS, { kind: "order", because: "due" }],
    [
      "due, later by jitter",
      { failures: 0, jitter: 0.5, current: NINETY_DAYS },
      START_MS + 61 * DAY_MS,
      { kind: "wait", untilMs: START_MS + 62.25 * DAY_MS },
    ],
    [
      "expired",
      { ...NEVER_FAILED, current: NINETY_DAYS },
      START_MS + 91 * DAY_MS,
      { kind: "order", because: "expired" },
    ],
    [
      "failed a moment ago",
      { failures: 1, jitter: 0, lastFailedMs: START_MS },
      START_MS + 60_000,
      { kind: "wait", untilMs: START_MS + 7.5 * 60_000 },
    ],
    [
      "failed for long",
      { failures: 100, jitter: 0, lastFailedMs: START_MS },
      START_MS,
      { kind: "wait", untilMs: START_MS + 3 * 3_600_000 },
    ],
  ];
  for (const [name, facts, nowMs, expected] of cases) t.same(decideRenewal(facts, nowMs), expected, name);
});

t.test("it is ordered in the last third of its life, whatever the jitter", async (t) => {
  const property = fc.property(
    fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    fc.integer({ min: DAY_MS, max: 400 * DAY_MS }),
    (jitter, lifeMs) => {
      const current = { notBeforeMs: START_MS, notAfterMs: START_MS + lifeMs };
      const decision = decideRenewal({ current, jitter, failures: 0 }, START_MS);
      if (decision.kind !== "wait") return false;
      const ratio = (decision.untilMs - START_MS) / lifeMs;
      return (
        ratio >= 2 / 3 &&
        ratio < 0.72 &&
        decideRenewal({ current, jitter, failures: 0 }, decision.untilMs).kind === "order"
      );
    },
  );
  t.doesNotThrow(() => fc.assert(property, { seed: 4 }));
});
