/**
 * Ranks where more GPUs bring most hours of sessions within their limit: at each pool, and at each large city of the day.
 * Pure.
 *
 * Prices of the busiest time say what one more slot is worth at each place, in O(groups · places); only the places that
 * they put first are simulated, a whole day each, and the simulation has the last word.
 */
import { distanceKm } from "../geography.ts";
import { fixedMs } from "../latency/budget.ts";
import { fibreRttMsBetween } from "../latency/distance-model.ts";
import { PoolIds } from "../placement/pool-ids.ts";
import { type PriceProblem, solvePrices } from "../placement/prices.ts";
import { TIERS } from "../policy/placement-policy.ts";
import { Asks } from "./asks.ts";
import type { Day, DayPool } from "./day.ts";
import { withGpus } from "./fleet-change.ts";
import { Occupancy } from "./occupancy.ts";
import { judged, simulateDay, type World } from "./simulate-day.ts";
import { nearestPool } from "./synthetic-day.ts";

/** Simulated, of all places: a day of a large fleet takes about a second. */
const SIMULATED_PLACES_MAX = 20;
/** What one more session within its limit is worth, as prices have it. */
const VALUE_MS = 200;
/** A city with a pool so near is that pool. */
const OWN_KM = 50;

export interface PlacedGain {
  readonly place: string;
  readonly isNew: boolean;
  /** In a day, of all sessions; below 0 where placement by distance makes worse use of more. */
  readonly hoursGained: number;
  /** In all sessions' shares. */
  readonly shareAfter: number;
  /** By the prices of the busiest time: milliseconds that the added slots save, all together. */
  readonly shadowValueMs: number;
}

export interface CapacityPlan {
  readonly hoursNow: number;
  readonly shareNow: number;
  /** Most hours first; of two as good the first by name. */
  readonly gains: readonly PlacedGain[];
  readonly placesLookedAt: number;
}

export interface AddedCapacity {
  readonly gpus: number;
  readonly model: string;
  /** Whether a pool that has others gets more of its own. */
  readonly ownKind: boolean;
  readonly slotsPerGpu: number | undefined;
}

export function planCapacity(day: Day, world: World, added: AddedCapacity): CapacityPlan {
  const now = simulateDay(day, world);
  const cells = cellsOf(day, world.pools, new Asks(day, asksParts(day, world)));
  const places = placesOf(day, world, added);
  const valued = places.map((place) => ({ ...place, shadowValueMs: savedMsOf(place.grown, cells) }));
  valued.sort((a, b) => b.shadowValueMs - a.shadowValueMs || (a.name < b.name ? -1 : 1));
  const gains = valued.slice(0, SIMULATED_PLACES_MAX).map(({ name, isNew, pools, shadowValueMs }): PlacedGain => {
    const { hoursWithinLimit, withinLimit, sessions } = simulateDay(day, { ...world, pools });
    const hoursGained = hoursWithinLimit - now.hoursWithinLimit;
    return { place: name, isNew, hoursGained, shareAfter: withinLimit / sessions, shadowValueMs };
  });
  gains.sort((a, b) => b.hoursGained - a.hoursGained || (a.place < b.place ? -1 : 1));
  const { hoursWithinLimit: hoursNow, withinLimit, sessions } = now;
  return { hoursNow, shareNow: withinLimit / sessions, gains, placesLookedAt: places.length };
}

interface Place {
  readonly name: string;
  readonly isNew: boolean;
  readonly pools: readonly DayPool[];
  readonly grown: { readonly at: DayPool; readonly likePool: string; readonly slots: number };
}

function placesOf(day: Day, { pools }: World, { gpus, model, ownKind, slotsPerGpu }: AddedCapacity): Place[] {
  const cities = new Map(day.groups.map(({ name, coordinates }) => [coordinates, name.replace(/ \(.*$/, "")]));
  const free = [...cities].filter(
    ([coordinates, name]) =>
      !name.startsWith("around ") && !pools.some((pool) => distanceKm(pool.coordinates, coordinates) <= OWN_KM),
  );
  const asked = [
    ...pools.map(({ name, labels }) => ({ name, isNew: false, model: (ownKind ? labels["gpu"] : undefined) ?? model })),
    ...free.map(([, name]) => ({ name, isNew: true, model })),
  ];
  return asked.flatMap(({ name, isNew, model: of }): Place[] => {
    const grownPools = withGpus(pools, { count: gpus, model: of, place: name }, slotsPerGpu);
    const before = pools.find((pool) => pool.name === name);
    const at = before === undefined ? grownPools.at(-1) : grownPools.find((pool) => pool.name === name);
    const likePool = before ?? (at === undefined ? undefined : nearestPool(at.coordinates, pools));
    if (at === undefined || likePool === undefined) return [];
    const slots = mostSlots(at) - (before === undefined ? 0 : mostSlots(before));
    return [{ name, isNew, pools: grownPools, grown: { at, likePool: likePool.name, slots } }];
  });
}

function mostSlots({ classes }: DayPool): number {
  return Math.max(0, ...classes.map(({ slots }) => slots));
}

/** Sessions of one group, app and tier at the busiest time. */
interface Cell {
  readonly coordinates: Day["groups"][number]["coordinates"];
  readonly demand: number;
  /** Of the app's first class that is held: budget less what is the same everywhere. */
  readonly leftMs: number;
  readonly renderEncodeMs: number;
  readonly permitted: ReadonlySet<string>;
  /** Of the best pool at its price; `VALUE_MS` where none is within the limit. */
  readonly costMs: number;
}

function asksParts(day: Day, { pools: written, policies, expressions }: World) {
  const pools = written.map((pool) => judged(pool, expressions));
  const classes = [...new Set(day.apps.flatMap(({ spec }) => spec.classes.map(({ name }) => name)))];
  const { slotsPerArrival } = day;
  const occupancy = new Occupancy(pools, { classes, ids: new PoolIds(), slotsPerArrival, priceMsOf: () => 0 });
  return { policies, classes, occupancy };
}

function cellsOf(day: Day, pools: readonly DayPool[], asks: Asks): readonly Cell[] {
  const open = [...runningAtBusiest(day)].flatMap(([key, demand]) => {
    const tier = key % TIERS.length;
    const app = Math.floor(key / TIERS.length) % day.apps.length;
    const group = Math.floor(key / TIERS.length / day.apps.length);
    const place = day.groups[group];
    const [first] = asks.find(group, app, tier).tries;
    return place === undefined || first === undefined ? [] : [{ demand, place, first }];
  });
  const firstOf = Uint32Array.of(0, ...open.map(() => 0));
  const pairs: { readonly pool: number; readonly rttMs: number }[] = [];
  for (const [at, { place, first }] of open.entries()) {
    const { table, rules } = first.view;
    for (let pool = 0; pool < table.count; pool += 1) {
      const rttMs = fibreRttMsBetween(place.coordinates, table.coordinates[pool] ?? place.coordinates);
      const limitMs = first.ask.budgetMs - fixedMs(first.ask, table.renderEncodeMs[pool] ?? 0);
      const isOpen = rules.unmet[pool] === 0 && (table.slotsTotal[pool] ?? 0) > 0;
      if (isOpen && rttMs <= limitMs) pairs.push({ pool, rttMs });
    }
    firstOf[at + 1] = pairs.length;
  }
  const capacity = Float64Array.from(
    open[0]?.first.view.table.slotsTotal ?? [],
    (slots) => slots * day.slotsPerArrival,
  );
  const problem: PriceProblem = {
    ...{ firstOf, capacity, demand: Float64Array.from(open, ({ demand }) => demand) },
    ...{ pools: Uint16Array.from(pairs, ({ pool }) => pool), rttMs: Float32Array.from(pairs, ({ rttMs }) => rttMs) },
  };
  const { priceMs } = solvePrices(problem);
  return open.map(({ place, first, demand }, at): Cell => {
    const near = pairs.slice(firstOf[at], firstOf[at + 1]);
    const { table, rules } = first.view;
    const permitted = pools.filter(({ name }) => rules.unmet[table.indexOf.get(name) ?? -1] === 0);
    return {
      ...{
        coordinates: place.coordinates,
        demand,
        renderEncodeMs: Math.min(...table.renderEncodeMs.filter((ms) => ms > 0)),
      },
      leftMs: first.ask.budgetMs - fixedMs(first.ask, 0),
      permitted: new Set(permitted.map(({ name }) => name)),
      costMs: Math.min(VALUE_MS, ...near.map(({ pool, rttMs }) => rttMs + (priceMs[pool] ?? 0))),
    };
  });
}

/** By group, app and tier. */
function runningAtBusiest({ arrivals, apps, busiestSeconds, slotsPerArrival }: Day): Map<number, number> {
  const running = new Map<number, number>();
  for (let index = 0; index < arrivals.count; index += 1) {
    const at = arrivals.atSeconds[index] ?? 0;
    if (at > busiestSeconds || at + (arrivals.durationSeconds[index] ?? 0) < busiestSeconds) continue;
    const groupAndApp = (arrivals.group[index] ?? 0) * apps.length + (arrivals.app[index] ?? 0);
    const key = groupAndApp * TIERS.length + (arrivals.tier[index] ?? 0);
    running.set(key, (running.get(key) ?? 0) + slotsPerArrival);
  }
  return running;
}

/** What the added slots save when those who gain most take them. */
function savedMsOf({ at, likePool, slots }: Place["grown"], cells: readonly Cell[]): number {
  const gains = cells.flatMap(({ coordinates, demand, leftMs, renderEncodeMs, permitted, costMs }) => {
    const rttMs = fibreRttMsBetween(coordinates, at.coordinates);
    const isWithin = permitted.has(likePool) && rttMs <= leftMs - renderEncodeMs;
    return isWithin && rttMs < costMs ? [{ demand, gainMs: costMs - rttMs }] : [];
  });
  gains.sort((a, b) => b.gainMs - a.gainMs);
  let left = slots;
  let sum = 0;
  for (const { demand, gainMs } of gains) {
    const taken = Math.min(left, demand);
    sum += taken * gainMs;
    left -= taken;
    if (left <= 0) break;
  }
  return sum;
}
