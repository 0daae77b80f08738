import fc from "fast-check";
import t from "tap";
import type { GuardRails } from "../policy/placement-policy.ts";
import type { Comparison } from "./compare-days.ts";
import { judgeRails } from "./guard-rails.ts";
import type { DaySummary } from "./tally.ts";

const summaryOf = (withinLimit: number, turnedAway: number, fillBytes: number): DaySummary => ({
  ...{ sessions: 1000, withinLimit, degraded: 0, queued: 0, refused: turnedAway, rttMsMean: 9, rttMsP95: 9 },
  ...{ hoursWithinLimit: 0, groups: [], pools: [], policies: new Map([["eu", 1000]]), fillBytes, cost: undefined },
  shares: [{ app: "hall", region: "r", tier: "strict", sessions: 1000, withinLimit, turnedAway }],
});
const comparisonOf = (more: Partial<Comparison> = {}): Comparison => ({
  ...{ before: summaryOf(900, 50, 100), after: summaryOf(900, 50, 100), moves: 0, lost: 0 },
  ...{ shares: [], losers: [], unsizedApps: [], ...more },
});
const judge = (comparison: Comparison, ...rails: readonly GuardRails[]) =>
  judgeRails(comparison, { name: "eu", apps: ["hall"], rails });

t.test("rails that permit less never accept what those that permit more refuse", async (t) => {
  const points = fc.double({ min: 0, max: 100, noNaN: true });
  const rails: fc.Arbitrary<GuardRails> = fc.record(
    {
      ...{ shareWithinLimitMin: fc.double({ min: 0, max: 1, noNaN: true }), movesMax: fc.nat(200) },
      ...{ shareWithinLimitMayFallByPoints: points, refusalsMayRiseByPoints: points, fillBytesMax: fc.nat(200) },
    },
    { requiredKeys: [] },
  );
  const summaries = fc.tuple(fc.nat(1000), fc.nat(1000), fc.nat(300)).map((parts) => summaryOf(...parts));
  const comparisons = fc.record({ before: summaries, after: summaries, moves: fc.nat(300) }).map(comparisonOf);
  const refuses = (comparison: Comparison, of: GuardRails) => judge(comparison, of).breaches.map(({ rail }) => rail);
  const property = fc.property(comparisons, rails, rails, (comparison, one, other) => {
    const refused = refuses(comparison, stricterOf(one, other));
    const looser = [one, other].flatMap((of) => refuses(comparison, of));
    return (
      looser.every((rail) => refused.includes(rail)) && judge(comparison, one, other).breaches.length >= refused.length
    );
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 1000 }));
});

/** All that either asks for, each as the stricter of both has it. */
function stricterOf(one: GuardRails, other: GuardRails): GuardRails {
  const entries = [one, other]
    .flatMap((rails) => Object.entries(rails))
    .map(([rail, bound]) => [rail, Number(bound)] as const);
  return Object.fromEntries(
    entries.map(([rail]) => {
      const bounds = entries.flatMap(([name, bound]) => (name === rail ? [bound] : []));
      return [rail, rail === "shareWithinLimitMin" ? Math.max(...bounds) : Math.min(...bounds)];
    }),
  );
}

t.test("what pools would have to fetch more than before is bounded, and whose size is not known is told", async (t) => {
  const after = summaryOf(900, 50, 700);
  t.match(judge(comparisonOf({ after }), { fillBytesMax: 599 }), {
    breaches: [
      {
        rail: "fillBytesMax",
        message: /^pools would have to fetch 600 bytes of scene bundles more; fillBytesMax is 599$/,
      },
    ],
    notes: [],
  });
  t.same(judge(comparisonOf({ after }), { fillBytesMax: 600 }), { breaches: [], notes: [] });
  t.same(judge(comparisonOf({ before: after }), { fillBytesMax: 0 }), { breaches: [], notes: [] }, "less is fetched");
  const unsized = comparisonOf({ unsizedApps: ["hall", "yard"] });
  t.match(judge(unsized, { fillBytesMax: 0 }).notes, [/is judged without the bundle of hall: how large it is/]);
  t.same(judge(unsized, { movesMax: 0 }).notes, []);
});

t.test("a policy that is for nobody of the day is not judged, before or after", async (t) => {
  const nobody = { ...summaryOf(0, 1000, 0), policies: new Map<string, number>() };
  const broken = { shareWithinLimitMayFallByPoints: 1 };
  t.match(judge(comparisonOf({ before: nobody, after: nobody }), broken), { breaches: [], notes: [/applies to no/] });
  t.match(judge(comparisonOf({ after: nobody }), broken).breaches, [{ rail: "shareWithinLimitMayFallByPoints" }]);
});
