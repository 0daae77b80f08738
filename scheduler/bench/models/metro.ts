/** Model F: sites of a metro so near each other that only who else needs them tells them apart. */
import { join } from "node:path";
import { type Coordinates, distanceKm } from "#domain/geography.ts";
import { addDemand, chooseLeastContested } from "#domain/placement/contention.ts";
import { seededRandom } from "#platform/random.ts";
import type { Row } from "#test/bench/report.ts";
import { normal, shuffle } from "./draws.ts";
import { type ModelRun, rowOf } from "./model.ts";
import { readRows } from "./recorded.ts";

const COVERAGE_KM = 0.15;
const SEEDS = 20;
const FORECAST_ERROR = 0.5;

interface Metro {
  /** By user: the sites that cover it, nearest first. */
  readonly covering: readonly (readonly number[])[];
  readonly sites: number;
}

interface Day {
  readonly capacity: readonly number[];
  readonly arrivals: readonly number[];
  /** By user: what a forecast in error expects of its place, 1 being right. */
  readonly mistaken: readonly number[];
}

/** The site of an arrival, given what is free. */
type Rule = (user: number, slotsFree: Int32Array) => number | undefined;
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
  forecast: (metro) => contested(metro, () => 1),
  mistaken: (metro, { mistaken }) => contested(metro, (user) => mistaken[user] ?? 1),
  learnt: (metro) => {
    const demand = new Float64Array(metro.sites);
    return (user, slotsFree) => {
      const sites = metro.covering[user] ?? [];
      addDemand(demand, sites, 1);
      return chooseLeastContested(sites, { demand, slotsFree });
    };
  },
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

function contested({ covering, sites }: Metro, expect: (user: number) => number): Rule {
  const demand = new Float64Array(sites);
  covering.forEach((covers, user) => {
    if (covers.length > 0) addDemand(demand, covers, expect(user));
  });
  return (user, slotsFree) => chooseLeastContested(covering[user] ?? [], { demand, slotsFree });
}

function allocate({ capacity, arrivals }: Day, rule: Rule): number {
  const slotsFree = Int32Array.from(capacity);
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
  const covering = read("eua_users_melbcbd.csv", [0, 1]).map((user) => {
    const reached = sites.map((site, index) => ({ index, km: distanceKm(user, site) }));
    const within = reached.filter(({ km }) => km <= COVERAGE_KM).sort((a, b) => a.km - b.km);
    return within.map(({ index }) => index);
  });
  return { covering, sites: sites.length };
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
