/** What a day made of recorded sessions must come to, whatever was recorded. */
import fc from "fast-check";
import t from "tap";
import { BUDGET_MS_BY_TIER, TIERS, type WrittenPlacementPolicy } from "../policy/placement-policy.ts";
import { compareDays } from "./compare-days.ts";
import type { DayApp, DayPool } from "./day.ts";
import { makeRecordedDay, type RecordedDay } from "./recorded-day.ts";
import { type RecordedDecision, type RecordedFacts, RecordedSessions } from "./recorded-sessions.ts";
import { DayRun, simulateDay, type World } from "./simulate-day.ts";

const FROM_MS = 1_700_000_000_000;
const lisbon = { latitude: 38.7, longitude: -9.1 };
const hall: DayApp = {
  name: "hall",
  spec: {
    needs: { gpuShareRatio: 0.1, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 8_000_000 },
    classes: [{ name: "hd", eyeWidthPixels: 1024, eyeHeightPixels: 1024, frameRateHz: 72 }],
  },
};
const poolsOf = (slots: Readonly<Record<string, number>>): DayPool[] =>
  Object.entries(slots).map(([name, count], at) => ({
    ...{ name, region: name, coordinates: { latitude: 38.7 + 5 * at, longitude: -9.1 }, labels: {} },
    classes: [{ renderClass: "hd", slots: count, renderEncodeMsP95: 8 }],
    ...{ reachable: true, cordoned: false, draining: false },
  }));
const worldOf = (pools: readonly DayPool[], changes: Partial<WrittenPlacementPolicy> = {}): World => {
  const spec: WrittenPlacementPolicy = {
    ...{ apps: ["hall"], sites: [], latencyBudgetMs: {}, constraints: [], preferences: [], stickinessMs: 2 },
    ...{ capacityReserveRatio: 0, onNoFit: "queue", sessionSecondsMax: 14_400, ...changes },
  };
  return { pools, policies: [{ name: "eu", revision: 1, spec }], expressions: new Map() };
};

/** One after the other: a decision, or the end of a session. */
interface Told extends Omit<RecordedDecision, "atMs"> {
  readonly seconds: number;
  readonly hasEnded: boolean;
  readonly facts: RecordedFacts;
}

const factsOf = (changes: Partial<RecordedFacts> = {}): RecordedFacts => ({
  ...{ app: "hall", tier: "strict", group: "prefix:192.0.2.0/24", client: {}, coordinates: lisbon },
  ...{ device: undefined, rtts: new Map([["near", { rttMs: 4, source: "measured" as const }]]) },
  ...changes,
});
const told = (session: string, seconds: number, changes: Partial<Told> = {}): Told => ({
  ...{ session, seconds, isNew: true, pool: "near", hasEnded: false, facts: factsOf() },
  ...changes,
});

function sessionsOf(entries: readonly Told[], sessionsMax?: number): RecordedSessions {
  const sessions = new RecordedSessions(sessionsMax);
  for (const { session, seconds, isNew, pool, hasEnded, facts } of entries) {
    const atMs = FROM_MS + 1000 * seconds;
    if (hasEnded) sessions.ended(session, atMs);
    else sessions.decided({ session, atMs, isNew, pool }, () => facts);
  }
  return sessions;
}

function dayOf(entries: readonly Told[], pools: readonly DayPool[] = poolsOf({ near: 4, far: 4 })): RecordedDay {
  const made = makeRecordedDay({ sessions: sessionsOf(entries), pools, apps: [hall], seed: 1 });
  if (made === undefined) throw new Error("nobody came");
  return made;
}

const anyTold = fc
  .record({
    ...{ number: fc.nat(12), seconds: fc.nat(2_000), isNew: fc.boolean(), hasEnded: fc.boolean() },
    pool: fc.constantFrom("near", "far", undefined),
    rttMs: fc.nat(40),
    tier: fc.constantFrom(...TIERS),
    app: fc.constantFrom("hall", "hall", "lobby"),
  })
  .map(({ number, seconds, rttMs, tier, app, ...said }): Told => {
    const facts = factsOf({ tier, app, rtts: new Map([["near", { rttMs, source: "measured" }]]) });
    return { session: `s-${number}`, seconds, facts, ...said };
  });
/** No two at one time: which of them was first would be anybody's guess. */
const anyLog = fc.uniqueArray(anyTold, { selector: ({ seconds }) => seconds, minLength: 1, maxLength: 40 });

t.test("a day is the same in whatever order its logs are read", async (t) => {
  const property = fc.property(anyLog, fc.nat(), (entries, seed) => {
    const shuffled = entries.toSorted((a, b) => ((a.seconds * 7919 + seed) % 101) - ((b.seconds * 7919 + seed) % 101));
    const [one, other] = [entries, shuffled].map((each) => sessionsOf(each).list());
    t.same(other, one);
    return true;
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 200 }));
});

t.test("each session of an app of the fleet comes once, and nothing differs where nothing is changed", async (t) => {
  const pools = poolsOf({ near: 3, far: 2 });
  const property = fc.property(anyLog, (entries) => {
    const made = makeRecordedDay({ sessions: sessionsOf(entries), pools, apps: [hall], seed: 1 });
    const known = sessionsOf(entries).list();
    const ours = known.filter(({ facts }) => facts.app === "hall");
    if (made === undefined) return ours.every(({ isNew }) => !isNew);
    const { day, counts } = made;
    const { before, after, moves, lost } = compareDays(day, worldOf(pools), worldOf(pools));
    t.same(after, before);
    t.same([moves, lost], [0, 0]);
    t.equal(day.arrivals.count, ours.length);
    t.equal(before.sessions, ours.length - counts.ranBefore);
    t.equal(
      [...counts.ofOtherApps.values()].reduce((sum, count) => sum + count, 0),
      known.length - ours.length,
    );
    t.equal(counts.stays.ended + counts.stays.renewals + counts.stays.others, ours.length);
    t.equal(counts.rttsKnown + counts.rttsEstimated, pools.length * ours.length);
    const ordered = day.arrivals.atSeconds.every((at, index, all) => index === 0 || (all[index - 1] ?? 0) <= at);
    return ordered && day.arrivals.durationSeconds.every((seconds) => seconds >= 0);
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 200 }));
});

t.test("at no time are more there than at the busiest", async (t) => {
  const pools = poolsOf({ near: 50, far: 50 });
  const property = fc.property(anyLog, (entries) => {
    const made = makeRecordedDay({ sessions: sessionsOf(entries), pools, apps: [hall], seed: 1 });
    if (made === undefined) return true;
    const rules = { onNoFit: "degrade" } as const;
    const running = (until: number) => {
      const run = new DayRun(made.day, worldOf(pools, rules));
      run.runUntil(until);
      return run.listRunning().length;
    };
    const most = running(made.day.busiestSeconds);
    return made.day.arrivals.atSeconds.every((at) => at < 0 || running(at + 0.000_5) <= most);
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 50 }));
});

t.test("a session stays to its end, else to its last renewal, else as long as another", async (t) => {
  const renewal = { isNew: false };
  const { day, counts } = dayOf([
    told("ended", 100),
    told("ended", 400, { hasEnded: true }),
    told("waited", 100, { pool: undefined }),
    told("waited", 150),
    told("waited", 250, { hasEnded: true }),
    told("renewed", 100),
    ...[120, 140, 160].map((seconds) => told("renewed", seconds, renewal)),
    told("unheard", 100),
    told("refused", 100, { pool: undefined }),
    told("running", 5_000),
    told("running", 9_960, renewal),
    told("last", 10_000),
  ]);
  const names = ["ended", "refused", "renewed", "unheard", "waited", "running", "last"];
  const stays = new Map(names.map((name, at) => [name, day.arrivals.durationSeconds[at]]));
  t.same([stays.get("ended"), stays.get("waited"), stays.get("renewed")], [300, 100, 70]);
  t.ok((stays.get("running") ?? 0) >= 5_000, "it is there when the log ends");
  const known = [300, 100, 70];
  for (const name of ["unheard", "refused", "last"]) t.ok(known.includes(stays.get(name) ?? 0), name);
  t.same(counts.stays, { ended: 2, renewals: 2, others: 3 });
});

t.test(
  "who renewed as the log began ran before, holds a slot and is not counted; later it is somebody who came",
  async (t) => {
    const pools = poolsOf({ near: 1 });
    const ran = [told("first", 0, { isNew: false }), told("first", 500, { hasEnded: true })];
    const { day, counts } = dayOf([...ran, told("second", 100), told("third", 600)], pools);
    t.equal(counts.ranBefore, 1);
    const { sessions, withinLimit, queued } = simulateDay(day, worldOf(pools));
    t.same({ sessions, withinLimit, queued }, { sessions: 2, withinLimit: 1, queued: 1 });
    t.equal(dayOf([told("first", 0), told("moved-here", 1_000, { isNew: false })]).counts.ranBefore, 0);
  },
);

t.test(
  "what a session did not measure is estimated by distance, by what others measured and by how slow it is",
  async (t) => {
    const pools = poolsOf({ near: 9, far: 9 });
    const only = { constraints: [{ label: "perigee.dev/pool", operator: "In", values: ["far"] }] } as const;
    const rttAtFar = (entries: readonly Told[]) => {
      const { day } = dayOf(entries, pools);
      return simulateDay(day, worldOf(pools, { ...only, onNoFit: "degrade" })).rttMsMean;
    };
    const fast = rttAtFar([told("fast", 0)]);
    const measured = (rttMs: number) => factsOf({ rtts: new Map([["near", { rttMs, source: "measured" as const }]]) });
    t.ok(Math.abs(fast - 11.4) < 1, `${fast}: 556 km of fibre with its detour`);
    const slow = rttAtFar([told("slow", 0, { facts: measured(30) })]);
    t.ok(slow > fast + 20, `${slow}`);
    const unknown = rttAtFar([told("nowhere", 0, { facts: factsOf({ coordinates: undefined }) })]);
    t.equal(unknown, 100);
    const history = new Map([["far", { rttMs: 7, source: "history" as const }]]);
    t.equal(rttAtFar([told("known", 0, { facts: factsOf({ rtts: history }) })]), 7);
    const { counts } = dayOf([told("known", 0, { facts: factsOf({ rtts: history }) }), told("one", 0)], pools);
    t.same([counts.rttsKnown, counts.rttsEstimated], [2, 2]);
  },
);

t.test("a device that is slower has less of its budget left, as when it was decided", async (t) => {
  const slow = factsOf({ device: { decodeMs: BUDGET_MS_BY_TIER.strict, jitterMs: 2 } });
  const pools = poolsOf({ near: 4 });
  t.equal(simulateDay(dayOf([told("a", 0)], pools).day, worldOf(pools)).withinLimit, 1);
  t.equal(simulateDay(dayOf([told("a", 0, { facts: slow })], pools).day, worldOf(pools)).withinLimit, 0);
});

t.test("sessions of one group are told of together", async (t) => {
  const pools = poolsOf({ near: 4 });
  const lab = factsOf({ group: "network:lab", rtts: new Map([["near", { rttMs: 9, source: "measured" as const }]]) });
  const ofTenant = factsOf({ group: "network:lab", client: { tenant: "acme" } });
  const came = [told("a", 0), told("b", 1), told("c", 2, { facts: lab }), told("d", 3, { facts: ofTenant })];
  const world = worldOf(pools);
  const nowhere = { match: { tenants: ["acme"] }, constraints: [{ label: "none", operator: "Exists" as const }] };
  const acme = world.policies.map(({ spec }) => ({ name: "acme", spec: { ...spec, ...nowhere } }));
  const { groups } = simulateDay(dayOf(came, pools).day, { ...world, policies: [...world.policies, ...acme] });
  t.match(groups, [
    { group: "prefix:192.0.2.0/24", sessions: 2, withinLimit: 2, turnedAway: 0, rttMsMean: 4 },
    { group: "network:lab", sessions: 1, withinLimit: 1, turnedAway: 0, rttMsMean: 9 },
    { group: "network:lab (tenant acme)", sessions: 1, withinLimit: 0, turnedAway: 1 },
  ]);
});

t.test("of more sessions than there is room for an even part is kept, which stands for all", async (t) => {
  const entries = Array.from({ length: 1_000 }, (_, number) => told(`s-${number}`, number));
  const sessions = sessionsOf(entries, 100);
  const kept = sessions.list().length;
  t.ok(kept <= 100 && kept >= 25, `${kept}`);
  t.ok(Math.abs(kept * sessions.keptOneOf - 1_000) < 400, `${kept} for ${sessions.keptOneOf} each`);
  const again = sessionsOf(entries.toReversed(), 100);
  t.same([again.keptOneOf, again.list()], [sessions.keptOneOf, sessions.list()], "in whatever order");
  t.same(sessions.span, { fromMs: FROM_MS, toMs: FROM_MS + 999_000 });
  const made = makeRecordedDay({ sessions, pools: poolsOf({ near: 4 }), apps: [hall], seed: 1 });
  t.equal(made?.day.slotsPerArrival, sessions.keptOneOf);
});
