/** What simulated days must come to, whatever the fleet. */
import fc from "fast-check";
import t from "tap";
import { seededRandom } from "#platform/random.ts";
import type { WrittenPlacementPolicy } from "../policy/placement-policy.ts";
import { planCapacity } from "./capacity-plan.ts";
import { compareDays, shareOf } from "./compare-days.ts";
import { type Day, type DayApp, type DayPool, repeatsOf } from "./day.ts";
import { DayRun, simulateDay, type World } from "./simulate-day.ts";
import { makeSyntheticDay } from "./synthetic-day.ts";
import type { DaySummary } from "./tally.ts";

const PLACES = [
  ["frankfurt", "eu-central", 50.1, 8.7],
  ["berlin", "eu-central", 52.5, 13.4],
  ["paris", "eu-west", 48.9, 2.4],
  ["zurich", "ch", 47.4, 8.5],
  ["madrid", "eu-south", 40.4, -3.7],
] as const;

const hall: DayApp = {
  name: "hall",
  spec: {
    needs: { gpuShareRatio: 0.1, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 8_000_000 },
    classes: [
      { name: "hd", eyeWidthPixels: 1024, eyeHeightPixels: 1024, frameRateHz: 72 },
      { name: "sd", eyeWidthPixels: 512, eyeHeightPixels: 512, frameRateHz: 60 },
    ],
  },
};

/** A pool for each number of slots; a session of the second class takes half as much. */
function poolsOf(slots: readonly number[]): DayPool[] {
  return slots.map((count, at) => {
    const [name, region, latitude, longitude] = PLACES[at % PLACES.length] ?? PLACES[0];
    return {
      ...{ name, region, coordinates: { latitude, longitude }, labels: { "perigee.dev/region": region } },
      classes: [
        { renderClass: "hd", slots: count, renderEncodeMsP95: 12 },
        { renderClass: "sd", slots: 2 * count, renderEncodeMsP95: 9 },
      ],
      ...{ reachable: true, cordoned: false, draining: false, slotHourCost: 1 + at },
    };
  });
}

const policy = (changes: Partial<WrittenPlacementPolicy>) => {
  const spec: WrittenPlacementPolicy = {
    ...{ apps: ["hall"], sites: [], latencyBudgetMs: {}, constraints: [], preferences: [] },
    ...{ capacityReserveRatio: 0, onNoFit: "degrade", sessionSecondsMax: 14_400, stickinessMs: 2, ...changes },
  };
  return { name: "eu", revision: 1, spec };
};

const worldOf = (pools: readonly DayPool[], changes: Partial<WrittenPlacementPolicy> = {}): World => ({
  ...{ pools, policies: [policy(changes)], expressions: new Map() },
});

const dayOf = (pools: readonly DayPool[], seed = 1, arrivalsMax = 5_000): Day =>
  makeSyntheticDay({ pools, apps: [hall], policies: [], arrivalsMax }, seededRandom(seed));

const fleets = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 2, maxLength: 5 });
const changes: fc.Arbitrary<Partial<WrittenPlacementPolicy>> = fc.record({
  onNoFit: fc.constantFrom("degrade", "queue", "reject"),
  capacityReserveRatio: fc.constantFrom(0, 0.2),
});
const holdsFor = (property: fc.IProperty<[number[], Partial<WrittenPlacementPolicy>, number]>) =>
  fc.assert(property, { numRuns: 25 });
const seeds = fc.nat(1000);

const placedOf = ({ sessions, queued, refused }: DaySummary) => sessions - queued - refused;

t.test("nothing differs where nothing is changed, and the same seed gives the same day", async (t) => {
  const property = fc.property(fleets, changes, seeds, (slots, said, seed) => {
    const pools = poolsOf(slots);
    const compared = compareDays(dayOf(pools, seed), worldOf(pools, said), worldOf(pools, said));
    const again = simulateDay(dayOf(pools, seed), worldOf(pools, said));
    t.same(compared.after, compared.before);
    t.same(again, compared.before);
    t.same([compared.moves, compared.lost, compared.losers], [0, 0, []]);
    return compared.shares.every(({ before, after }) => before === after);
  });
  t.doesNotThrow(() => holdsFor(property));
});

t.test("whoever comes is placed, told to wait or refused, in one group, region, tier and pool", async (t) => {
  const property = fc.property(fleets, changes, seeds, (slots, said, seed) => {
    const pools = poolsOf(slots);
    const day = dayOf(pools, seed);
    const summary = simulateDay(day, worldOf(pools, said));
    const counted = day.arrivals.atSeconds.filter((at) => at >= 0).length * day.sessionsPerArrival;
    const sums = [
      summary.shares.reduce((sum, { sessions }) => sum + sessions, 0),
      summary.groups.reduce((sum, { sessions }) => sum + sessions, 0),
      placedOf(summary) + summary.queued + summary.refused,
    ];
    const inPools = summary.pools.reduce((sum, { sessions }) => sum + sessions, 0);
    return (
      [summary.sessions, ...sums].every((sum) => Math.abs(sum - counted) < 1e-6) &&
      Math.abs(inPools - placedOf(summary)) < 1e-6 &&
      summary.withinLimit <= placedOf(summary)
    );
  });
  t.doesNotThrow(() => holdsFor(property));
});

t.test("no pool ever holds more than it has, classes sharing it", async (t) => {
  const property = fc.property(fleets, changes, seeds, (slots, said, seed) => {
    const pools = poolsOf(slots);
    const run = new DayRun(dayOf(pools, seed), { ...worldOf(pools, said), load: 2 });
    for (let hour = 0; hour < 24; hour += 1) {
      run.runUntil(hour * 3600);
      const used = new Map<string, number>();
      for (const { pool, classAt } of run.listRunning()) {
        const held = pools.find(({ name }) => name === pool)?.classes[classAt]?.slots ?? 0;
        used.set(pool, (used.get(pool) ?? 0) + 1 / held);
      }
      if ([...used.values()].some((ratio) => ratio > 1 + 1e-9)) return false;
    }
    return true;
  });
  t.doesNotThrow(() => holdsFor(property));
});

t.test("a pool that is gone takes nothing, and each of its sessions moves or ends", async (t) => {
  const property = fc.property(fleets, changes, seeds, (slots, said, seed) => {
    const pools = poolsOf(slots);
    const day = dayOf(pools, seed);
    const run = new DayRun(day, worldOf(pools, said));
    run.runUntil(day.busiestSeconds);
    const there = run.listRunning().filter(({ pool }) => pool === "frankfurt").length * day.slotsPerArrival;
    const { after, moves, lost } = compareDays(day, worldOf(pools, said), worldOf(pools.slice(1), said));
    return after.pools.every(({ pool }) => pool !== "frankfurt") && moves + lost === there;
  });
  t.doesNotThrow(() => holdsFor(property));
});

t.test("of one pool alone, more slots never lose a session, at any load", async (t) => {
  const more = fc.tuple(
    fc.integer({ min: 1, max: 10 }),
    fc.integer({ min: 1, max: 5 }),
    seeds,
    fc.constantFrom(1, 2, 4),
  );
  const property = fc.property(more, ([slots, added, seed, load]) => {
    const [before, after] = [poolsOf([slots]), poolsOf([slots + added])];
    const day = dayOf(before, seed);
    const said = { onNoFit: "reject" } as const;
    const [few, many] = [before, after].map((pools) => simulateDay(day, { ...worldOf(pools, said), load }));
    return (many?.withinLimit ?? 0) >= (few?.withinLimit ?? 0);
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 25 }));
});

t.test("a lower load is a part of a higher one", async (t) => {
  const loads = fc.tuple(fc.double({ min: 0, max: 5, noNaN: true }), fc.double({ min: 0, max: 5, noNaN: true }));
  const property = fc.property(loads, fc.nat(100_000), ([a, b], index) => {
    return repeatsOf(index, Math.min(a, b)) <= repeatsOf(index, Math.max(a, b));
  });
  t.doesNotThrow(() => fc.assert(property));
  const mean = Array.from({ length: 10_000 }, (_, index) => repeatsOf(index, 1.3)).reduce((a, b) => a + b, 0) / 10_000;
  t.ok(Math.abs(mean - 1.3) < 0.02, `${mean}`);
});

t.test("a policy that leaves one region is told by numbers: where, who, and at which cost", async (t) => {
  const pools = poolsOf([20, 20, 20, 20]);
  const onlyZurich = { constraints: [{ label: "perigee.dev/region", operator: "In", values: ["ch"] }] } as const;
  const compared = compareDays(dayOf(pools), worldOf(pools), worldOf(pools, { ...onlyZurich, onNoFit: "queue" }));
  t.ok(shareOf([compared.after]) < shareOf([compared.before]) - 0.1);
  t.ok(compared.after.queued > 0);
  t.equal(compared.after.refused, 0);
  t.same(
    compared.after.pools.filter(({ sessions }) => sessions > 0).map(({ pool }) => pool),
    ["zurich"],
  );
  t.ok(compared.moves > 0, "who runs elsewhere goes on to Zurich while there is room");
  t.equal(compared.lost, 0, "and stays where it is when there is none");
  const [worst, next] = compared.losers;
  t.ok(worst !== undefined && next !== undefined && worst.lost >= next.lost && next.lost > 0);
  t.ok(compared.losers.length <= 20);
  const slotHours = compared.after.pools.find(({ pool }) => pool === "zurich")?.slotHours ?? 0;
  t.equal(compared.after.cost, 4 * slotHours, "a slot of Zurich costs 4 an hour");
});

t.test("a metro's reserve and a spread are kept as by the scheduler", async (t) => {
  const metro = poolsOf([4, 4, 4]).map((pool, at) => ({
    ...pool,
    coordinates: { latitude: 50.1 + at / 100, longitude: 8.7 },
    classes: pool.classes.slice(0, 1),
  }));
  const day = dayOf(metro);
  const mostAtOnce = (changes: Partial<WrittenPlacementPolicy>) => {
    const run = new DayRun(day, { ...worldOf(metro, { onNoFit: "queue", ...changes }), load: 5 });
    let most = 0;
    for (let minute = 0; minute < 1440; minute += 10) {
      run.runUntil(minute * 60);
      most = Math.max(most, run.listRunning().length);
    }
    return most;
  };
  t.equal(mostAtOnce({}), 12);
  t.equal(mostAtOnce({ capacityReserve: { largestNeighbour: true, withinKm: 50 } }), 8);
  const wide = metro.map((pool) => ({ ...pool, classes: pool.classes.map((held) => ({ ...held, slots: 12 })) }));
  const largestShare = (changes: Partial<WrittenPlacementPolicy>) => {
    const { pools } = simulateDay(day, worldOf(wide, { onNoFit: "queue", ...changes }));
    const hours = pools.map(({ slotHours }) => slotHours);
    return Math.max(...hours) / hours.reduce((sum, each) => sum + each, 0);
  };
  const near = [{ label: "perigee.dev/region", operator: "In", values: ["eu-west"], bonusMs: 20 }] as const;
  t.ok(largestShare({ preferences: near }) > 0.9, "all prefer one pool");
  t.ok(largestShare({ preferences: near, spread: { over: "pool", shareMax: 0.5 } }) < 0.6);
  t.ok(largestShare({ preferences: near, spread: { over: "pool", shareMax: 0.5, penaltyMs: 30 } }) < 0.6);
  t.ok(largestShare({ preferences: near, spread: { over: "pool", shareMax: 0.5, penaltyMs: 5 } }) > 0.9);
});

t.test("an arrival may stand for many sessions: what it comes to stays near", async (t) => {
  const pools = poolsOf([400, 400, 400]);
  const whole = simulateDay(dayOf(pools, 1, 1_000_000), worldOf(pools));
  const day = dayOf(pools, 1, 4_000);
  t.ok(day.arrivals.count <= 4_100 && day.sessionsPerArrival > 1, `${day.arrivals.count}`);
  const scaled = simulateDay(day, worldOf(pools));
  t.ok(Math.abs(shareOf([scaled]) - shareOf([whole])) < 0.03, `${shareOf([scaled])}, ${shareOf([whole])}`);
  t.ok(Math.abs(scaled.sessions / whole.sessions - 1) < 0.01, `${scaled.sessions}, ${whole.sessions}`);
});

t.test("the next GPUs go where nobody is within the limit, and nowhere that the policy forbids", async (t) => {
  const pools = poolsOf([40]).map((pool) => ({ ...pool, labels: { ...pool.labels, gpu: "l40s" }, gpus: 4 }));
  const day = dayOf(pools);
  const added = { gpus: 4, model: "l40s", ownKind: true, slotsPerGpu: undefined };
  const plan = planCapacity(day, worldOf(pools), added);
  const [first] = plan.gains;
  const near = plan.gains.find(({ place }) => place === "frankfurt");
  t.ok(first?.isNew === true && first.hoursGained > 0 && first.shareAfter > plan.shareNow);
  t.ok(near === undefined || near.hoursGained < (first?.hoursGained ?? 0));
  t.ok(plan.placesLookedAt > plan.gains.length);
  const elsewhere = [{ label: "perigee.dev/pool", operator: "In", values: ["none"] }] as const;
  const forbidden = planCapacity(day, worldOf(pools, { constraints: elsewhere, onNoFit: "reject" }), added);
  t.same(
    [forbidden.hoursNow, ...forbidden.gains.map(({ hoursGained, shadowValueMs }) => hoursGained + shadowValueMs)],
    [...Array.from({ length: 1 + forbidden.gains.length }, () => 0)],
  );
});
