/**
 * Model F: sites of a metro so near each other that only who else needs them tells them apart. Ours are decisions of the
 * core, with the same sums of demand that the slow loop makes.
 */
import { join } from "node:path";
import { type Coordinates, distanceKm } from "#domain/geography.ts";
import { fibreRttMs } from "#domain/latency/distance-model.ts";
import { type CellPools, decideForCell, planCellPools } from "#domain/placement/cell-pools.ts";
import { addDemand } from "#domain/placement/contention.ts";
import { DecisionFrame, NOWHERE } from "#domain/placement/decision-frame.ts";
import { PoolIds } from "#domain/placement/pool-ids.ts";
import { makePoolTable, type PoolTable, tableRules, withExpected } from "#domain/placement/pool-table.ts";
import { seededRandom } from "#platform/random.ts";
import type { Row } from "#test/bench/report.ts";
import { normal, shuffle } from "./draws.ts";
import { type ModelRun, rowOf } from "./model.ts";
import { readRows } from "./recorded.ts";

const COVERAGE_KM = 0.15;
/** Those that do not cover a user are farther than this, those that do much nearer. */
const LIMIT_MS = 2 * fibreRttMs(COVERAGE_KM);
const SEEDS = 20;
const FORECAST_ERROR = 0.5;

interface Metro {
  /** By user: the sites that cover it, nearest first. */
  readonly covering: readonly (readonly number[])[];
  readonly sites: number;
  readonly table: PoolTable;
  /** By user: all sites, those that do not cover it beyond the limit. */
  readonly cells: readonly CellPools[];
}

interface Day {
  readonly capacity: readonly number[];
  readonly arrivals: readonly number[];
  /** By user: what a forecast in error expects of its place, 1 being right. */
  readonly mistaken: readonly number[];
}

/** The site of an arrival, given what is free. */
type Rule = (user: number, slotsFree: Uint32Array) => number | undefined;
type RuleOf = (metro: Metro, day: Day) => Rule;

const LOADS = [
  { load: 0.6, target: 97.9, expected: { baseline: 94.2, oracle: 98.4 }, leastLoaded: 97.9 },
  { load: 0.8, target: 95.5, expected: { baseline: 88.1, oracle: 96.6 }, leastLoaded: 94 },
  { load: 0.95, target: 90.5, expected: { baseline: 82.9, oracle: 91.8 }, leastLoaded: 88.5 },
] as const;

/** By client group and not by user in production: here a user's place is a group, and its coverage the pools within 1 ms. */
const RULES = {
  nearest: (metro) => (user, free) => metro.covering[user]?.find((site) => (free[site] ?? 0) > 0),
  leastLoaded: (metro, day) => (user, free) => {
    const loadOf = (site: number) => 1 - (free[site] ?? 0) / (day.capacity[site] ?? 0);
    const open = (metro.covering[user] ?? []).filter((site) => (free[site] ?? 0) > 0);
    return open.toSorted((a, b) => loadOf(a) - loadOf(b))[0];
  },
  forecast: (metro, day) => contested(metro, day, { expect: () => 1 }),
  mistaken: (metro, day) => contested(metro, day, { expect: (user) => day.mistaken[user] ?? 1 }),
  learnt: (metro, day) => contested(metro, day, { isLearning: true }),
} satisfies Record<string, RuleOf>;

export function runMetro(run: ModelRun): Row[] {
  const metro = readMetro(run.data);
  const seeds = Array.from({ length: run.isSmoke ? 1 : SEEDS }, (_, seed) => seed + 1);
  return LOADS.flatMap(({ load, target, expected, leastLoaded }) => {
    const days = seeds.map((seed) => drawDay(metro, load, seed));
    const share = (allocated: number) => (100 * allocated) / metro.covering.length;
    const shares = (ruleOf: RuleOf) => days.map((day) => share(allocate(day, ruleOf(metro, day))));
    const oracle = days.map((day) => share(countMatched(metro, day.capacity)));
    const base = { unit: "%", atLeast: true, oracle };
    const name = (what: string) => `F allocated at ${100 * load} % load, ${what}`;
    const nearest = shares(RULES.nearest);
    return [
      rowOf(name("demand forecast"), {
        ...{ ...base, values: shares(RULES.forecast), baseline: nearest, target, expected },
      }),
      rowOf(name("forecast in error"), {
        ...{ ...base, values: shares(RULES.mistaken), baseline: nearest, target, expected },
      }),
      rowOf(name("no forecast, learnt, beside the least loaded"), {
        ...{ ...base, values: shares(RULES.learnt), baseline: shares(RULES.leastLoaded) },
        expected: { baseline: leastLoaded },
      }),
    ];
  });
}

interface Foresight {
  /** Of each user. */
  readonly expect?: (user: number) => number;
  /** Whoever comes counts from then on. */
  readonly isLearning?: boolean;
}

const ask = { budgetMs: LIMIT_MS, decodeMs: 0, jitterMs: 0, serialisationMs: 0, currentPool: NOWHERE };
const anyPool = {
  constraints: [],
  preferences: [],
  capacityReserveRatio: 0,
  onNoFit: "reject",
  stickinessMs: 0,
} as const;
const frame = new DecisionFrame();

function contested(
  { covering, sites, table, cells }: Metro,
  { capacity }: Day,
  { expect, isLearning }: Foresight,
): Rule {
  const expected = new Float64Array(sites);
  const expectOf = (user: number, sessions: number) => {
    const pools = covering[user] ?? [];
    addDemand(expected, { pools, rttMs: pools.map(() => 0), from: 0, to: pools.length }, sessions);
  };
  if (expect !== undefined) for (const user of covering.keys()) expectOf(user, expect(user));
  const slotsTotal = Uint32Array.from(capacity);
  const rules = tableRules(table, anyPool, 0);
  return (user, slotsFree) => {
    if (isLearning === true) expectOf(user, 1);
    const cell = cells[user] ?? new Float32Array();
    decideForCell(frame, { table: { ...withExpected(table, expected), slotsTotal, slotsFree }, rules }, cell, ask);
    // The table's only names, given in its order: a pool's id is its index.
    return frame.chosenAt === NOWHERE ? undefined : frame.pools[frame.chosenAt];
  };
}

function allocate({ capacity, arrivals }: Day, rule: Rule): number {
  const slotsFree = Uint32Array.from(capacity);
  let allocated = 0;
  for (const user of arrivals) {
    const site = rule(user, slotsFree);
    if (site === undefined) continue;
    slotsFree[site] = (slotsFree[site] ?? 0) - 1;
    allocated += 1;
  }
  return allocated;
}

/** The most users that can have a site at once: augmenting paths (Kuhn 1955), which by sites' slots is the maximum flow. */
function countMatched({ covering, sites }: Metro, capacity: readonly number[]): number {
  const held: number[][] = Array.from({ length: sites }, () => []);
  const augment = (user: number, seen: Uint8Array): boolean => {
    for (const site of covering[user] ?? []) {
      if (seen[site] === 1) continue;
      seen[site] = 1;
      const users = held[site] ?? [];
      if (users.length < (capacity[site] ?? 0)) return users.push(user) > 0;
      const moved = users.findIndex((other) => augment(other, seen));
      if (moved < 0) continue;
      users[moved] = user;
      return true;
    }
    return false;
  };
  return covering.filter((_, user) => augment(user, new Uint8Array(sites))).length;
}

function readMetro(folder: string): Metro {
  const read = (file: string, [latitude, longitude]: readonly [number, number]): Coordinates[] =>
    readRows(join(folder, file), ",")
      .slice(1)
      .map((fields) => ({ latitude: Number(fields[latitude]), longitude: Number(fields[longitude]) }));
  const sites = read("eua_servers_melbcbd.csv", [1, 2]);
  const users = read("eua_users_melbcbd.csv", [0, 1]);
  const covering = users.map((user) => {
    const reached = sites.map((site, index) => ({ index, km: distanceKm(user, site) }));
    const within = reached.filter(({ km }) => km <= COVERAGE_KM).sort((a, b) => a.km - b.km);
    return within.map(({ index }) => index);
  });
  const table = tableOf(sites);
  const cells = users.map((user) =>
    planCellPools(table, {
      rttMsOf: (site) => {
        const km = distanceKm(user, sites[site] ?? user);
        return km <= COVERAGE_KM ? fibreRttMs(km) : 2 * LIMIT_MS;
      },
      sourceOf: () => "history",
      geographyMsOf: () => Number.NaN,
    }),
  );
  return { covering, sites: sites.length, table, cells };
}

function tableOf(sites: readonly Coordinates[]): PoolTable {
  const open = { reachable: true, cordoned: false, draining: false, slotsTotal: 0, slotsFree: 0, renderEncodeMsP95: 0 };
  const pools = sites.map((coordinates, index) => {
    return { ...open, pool: `site-${String(index).padStart(3, "0")}`, region: "metro", labels: {}, coordinates };
  });
  return makePoolTable(pools, new PoolIds());
}

function drawDay({ covering, sites }: Metro, load: number, seed: number): Day {
  const random = seededRandom(seed);
  const drawn = Array.from({ length: sites }, () => Math.max(1, Math.round(Math.exp(0.6 * normal(random)))));
  const sum = drawn.reduce((total, slots) => total + slots, 0);
  const slots = Math.round(covering.length / load);
  const capacity = drawn.map((one) => Math.floor((one * slots) / sum));
  for (let left = slots - capacity.reduce((total, one) => total + one, 0); left > 0; left -= 1) {
    const site = random.integer(sites);
    capacity[site] = (capacity[site] ?? 0) + 1;
  }
  const arrivals = shuffle(
    random,
    covering.map((_, user) => user),
  );
  return { capacity, arrivals, mistaken: covering.map(() => Math.exp(FORECAST_ERROR * normal(random))) };
}
