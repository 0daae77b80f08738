import t from "tap";
import { Failure } from "../failure.ts";
import { decideForCell } from "../placement/cell-pools.ts";
import { DecisionFrame } from "../placement/decision-frame.ts";
import { PoolIds } from "../placement/pool-ids.ts";
import { type PriceProblem, solvePrices } from "../placement/prices.ts";
import type { WrittenPlacementPolicy } from "../policy/placement-policy.ts";
import { Asks, type GroupAsk } from "./asks.ts";
import { compareDays, countMoves, shareOf } from "./compare-days.ts";
import type { ClientGroup, Day, DayApp, DayPool } from "./day.ts";
import { DayPrices } from "./day-prices.ts";
import { Occupancy } from "./occupancy.ts";
import { DayRun, simulateDay, type World } from "./simulate-day.ts";

const hall: DayApp = {
  name: "hall",
  spec: {
    needs: { gpuShareRatio: 0.1, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 8_000_000 },
    classes: [{ name: "hd", eyeWidthPixels: 1024, eyeHeightPixels: 1024, frameRateHz: 72 }],
  },
};
const pool = (name: string, slots: number): DayPool => ({
  ...{ name, region: "r", coordinates: { latitude: 0, longitude: 0 }, labels: {} },
  classes: [{ renderClass: "hd", slots, renderEncodeMsP95: 8 }],
  ...{ reachable: true, cordoned: false, draining: false },
});
const group = (name: string, rttMs: readonly (readonly [string, number])[]): ClientGroup => ({
  ...{ name, coordinates: { latitude: 0, longitude: 0 }, region: "r", rttMs: new Map(rttMs) },
});
const POOLS = [pool("near", 16), pool("other", 60)];
/** The first have no other pool within their limit, the second would like the same one best. */
const GROUPS = [
  group("bound", [
    ["gone", 1],
    ["near", 3],
    ["other", 16],
  ]),
  group("free", [
    ["gone", 1],
    ["near", 2],
    ["other", 6],
  ]),
];
const STAY_SECONDS = 1500;
const DAY_SECONDS = 86_400;

/** One of each group in turn, in equal distances: so many are there at once. */
function dayOf(atOnce: number): Day {
  const count = Math.floor((DAY_SECONDS / STAY_SECONDS) * atOnce);
  const column = (of: (index: number) => number) => Float64Array.from({ length: count }, (_, index) => of(index));
  const arrivals = {
    count,
    atSeconds: column((index) => (index * DAY_SECONDS) / count),
    durationSeconds: Float32Array.from(column(() => STAY_SECONDS)),
    group: Uint32Array.from(column((index) => index % 2)),
    app: new Uint16Array(count),
    tier: new Uint8Array(count),
  };
  const scales = { sessionsPerArrival: 1, slotsPerArrival: 1, busiestSeconds: DAY_SECONDS / 2 };
  return { source: "a test", groups: GROUPS, apps: [hall], arrivals, ...scales };
}

const worldOf = (more: Partial<World> = {}): World => ({
  ...{ pools: POOLS, policies: [], expressions: new Map(), ...more },
});
const REJECT: WrittenPlacementPolicy = {
  ...{ apps: ["hall"], sites: [], latencyBudgetMs: {}, constraints: [], preferences: [] },
  ...{ capacityReserveRatio: 0, onNoFit: "reject", sessionSecondsMax: 14_400, stickinessMs: 2 },
};
const WITHOUT = worldOf({ priceMs: new Map() });

t.test("who can go elsewhere does, once prices are solved from who came", async (t) => {
  const day = dayOf(28);
  const [priced, plain] = [simulateDay(day, worldOf()), simulateDay(day, WITHOUT)];
  t.ok(shareOf([plain]) < 0.85, `${shareOf([plain])}: without prices the free ones fill the near pool`);
  t.ok(shareOf([priced]) > 0.95, `${shareOf([priced])}`);
  t.same(simulateDay(day, worldOf()), priced, "the same day again comes to the same");
});

t.test("where nothing is contended there is no price, and nothing is placed otherwise for it", async (t) => {
  const day = dayOf(8);
  t.same(simulateDay(day, worldOf()), simulateDay(day, WITHOUT));
});

t.test("before and after have prices of their own, and who has to move goes by those of before", async (t) => {
  const day = dayOf(28);
  const more = [pool("near", 40), pool("other", 60)];
  const { before, after } = compareDays(day, worldOf(), worldOf({ pools: more }));
  t.same(after, simulateDay(day, worldOf({ pools: more })), "more room, and no price");
  t.ok(shareOf([before]) > 0.95 && after.rttMsMean < before.rttMsMean);
  const rejecting = worldOf({ policies: [{ name: "p", revision: 1, spec: REJECT }] });
  const placedOf = (isPriced: boolean) => {
    const [running, moving] = [new DayRun(day, rejecting), new DayRun(day, rejecting)];
    running.runUntil(day.busiestSeconds);
    if (isPriced) moving.adoptPrices(running);
    const placed = (group: number) =>
      Array.from({ length: 16 }, () => moving.replace({ group, app: 0, tier: 0 })).filter(Boolean).length;
    return [placed(1), placed(0)];
  };
  t.same(placedOf(false), [16, 0], "without prices the free ones take what the bound ones need");
  t.same(placedOf(true), [16, 16]);
});

t.test("of who loses a pool, those who can go elsewhere leave what has a price to the others", async (t) => {
  const day = dayOf(34);
  const lostAt = (nearMs: number) => {
    const of = { policies: [{ name: "p", revision: 1, spec: REJECT }], priceMs: new Map([["near", nearMs]]) };
    const before = worldOf({ ...of, pools: [...POOLS, pool("gone", 12)] });
    const run = new DayRun(day, before);
    run.runUntil(day.busiestSeconds);
    const running = run.listRunning();
    const displaced = running.filter((session) => session.pool === "gone");
    const bound = displaced.filter(({ group }) => group === 0).length;
    t.ok(bound > 2 && displaced.length - bound > 2, `${bound} of ${displaced.length}`);
    const slots = running.filter((session) => session.pool === "near").length + bound;
    const after = worldOf({ ...of, priceMs: new Map(), pools: [pool("near", slots), pool("other", 60)] });
    return countMoves(day, before, after).lost;
  };
  t.ok(lostAt(0) > 0);
  t.equal(lostAt(10), 0);
});

/** Turns by hand: each of them would solve. */
function openTurns(solve: typeof solvePrices, pools = POOLS) {
  const classes = ["hd"];
  const occupancy = new Occupancy(pools, { classes, ids: new PoolIds(), slotsPerArrival: 1, priceMsOf: () => 0 });
  const asks = new Asks(dayOf(1), { policies: [], classes, occupancy });
  const all: readonly GroupAsk[] = [asks.find(0, 0, 0), asks.find(1, 0, 0)];
  const prices = new DayPrices({ occupancy, classes, pools: pools.length, asks: all, solve });
  const frame = new DecisionFrame();
  let seconds = 0;
  /** An hour in which some of each group come, and 14 of each run. */
  const hour = () => {
    prices.passUntil(seconds);
    for (const ask of all) {
      for (let count = 0; count < 14; count += 1) {
        const [first] = ask.tries;
        if (first !== undefined) decideForCell(frame, first.view, ask.cell, first.ask);
        prices.arrived(ask, frame, seconds);
        prices.started(ask);
        if (seconds > 0) prices.ended(ask);
      }
    }
    seconds += 3600;
    return occupancy.tableOf("hd")?.priceMs[0] ?? 0;
  };
  return hour;
}

t.test("a turn that fails leaves the last prices, and after some that fail there are none", async (t) => {
  let isFailing = false;
  const solved: PriceProblem[] = [];
  const hour = openTurns((problem, previous) => {
    if (isFailing) throw new Failure("unavailable", "not now");
    solved.push(problem);
    return solvePrices(problem, previous);
  });
  hour();
  hour();
  const priced = hour();
  t.ok(priced > 1, `${priced}`);
  t.equal(solved.length, 2);
  t.same(
    solved.at(-1)?.pools,
    Uint16Array.of(0, 0, 1),
    "the first have one pool within their limit, the second have both",
  );
  isFailing = true;
  const left = Array.from({ length: 7 }, hour);
  t.same(
    left.slice(0, 5),
    Array.from({ length: 5 }, () => priced),
    "bridged",
  );
  t.same(left.slice(5), [0, 0]);
  isFailing = false;
  t.ok(hour() > 0, "and they are back with the next one that does not");
});

t.test("where nothing is contended nothing is solved", async (t) => {
  const hour = openTurns(() => {
    throw new RangeError("there is nothing to ration");
  }, [pool("near", 200), pool("other", 60)]);
  t.same([hour(), hour(), hour()], [0, 0, 0]);
});

t.test("what fails for a bug is no failure to bridge", async (t) => {
  const hour = openTurns(() => {
    throw new RangeError("a bug");
  });
  hour();
  t.throws(hour, /a bug/);
});
