/** The world of model G: 10,000 nodes in 323 pools, 5,000 cells around the cities, and the 32 nearest pools of each. */
import { join } from "node:path";
import { distanceKm } from "#domain/geography.ts";
import type { PriceProblem } from "#domain/placement/prices.ts";
import { type Random, seededRandom } from "#platform/random.ts";
import { citiesOf, weightOf } from "./cities.ts";
import { normal, poisson, shuffle, uniform } from "./draws.ts";
import { readRows } from "./recorded.ts";

const NODES_PER_POOL = 31;
const NODE_SLOTS_FROM = 8;
const NODE_SLOTS_TO = 63;
const CELLS = 5000;
export const CANDIDATES = 32;
const MS_PER_KM = 0.0105;

export interface ScaleWorld {
  readonly capacity: Int32Array;
  /** Row-major by cell, each row by rising round trip. */
  readonly pools: Uint16Array;
  readonly rttMs: Float32Array;
  /** Cells of all sessions, in the order in which they come. */
  readonly sessions: Uint16Array;
  /** Sessions forecast of each cell. */
  readonly forecast: Float64Array;
}

export function makeScaleWorld(data: string, load: number, seed: number): ScaleWorld {
  const random = seededRandom(seed);
  const cities = citiesOf(data);
  const places = readRows(join(data, "cloudflare_pops.csv"), ",")
    .slice(1)
    .map(([, , latitude, longitude]) => ({
      latitude: Number(latitude) + uniform(random, -0.75, 0.75),
      longitude: Number(longitude) + uniform(random, -0.75, 0.75),
    }));
  const penaltyMs = places.map(() => uniform(random, 0.5, 4));
  const capacity = Int32Array.from(places, () => poolSlots(random));
  const world = {
    capacity,
    pools: new Uint16Array(CELLS * CANDIDATES),
    rttMs: new Float32Array(CELLS * CANDIDATES),
  };
  const weights = new Float64Array(CELLS);
  for (let cell = 0; cell < CELLS; cell += 1) {
    const city = cities[cell % cities.length];
    if (city === undefined) continue;
    const { latitude, longitude } = city.coordinates;
    const place = { latitude: latitude + 0.8 * normal(random), longitude: longitude + 0.8 * normal(random) };
    weights[cell] = weightOf(city) * Math.exp(0.8 * normal(random));
    const accessMs = uniform(random, 1, 5);
    const rtts = places.map((pool, index) => {
      const detour = 1 + Math.exp(0.6 * normal(random));
      return accessMs + (penaltyMs[index] ?? 0) + distanceKm(place, pool) * MS_PER_KM * detour;
    });
    const nearest = [...rtts.keys()].sort((a, b) => (rtts[a] ?? 0) - (rtts[b] ?? 0)).slice(0, CANDIDATES);
    world.pools.set(nearest, cell * CANDIDATES);
    world.rttMs.set(
      nearest.map((pool) => rtts[pool] ?? 0),
      cell * CANDIDATES,
    );
  }
  const slots = capacity.reduce((sum, each) => sum + each, 0);
  const scale = (load * slots) / weights.reduce((sum, weight) => sum + weight, 0);
  const demand = weights.map((weight) => poisson(random, weight * scale));
  const forecast = weights.map((weight) => weight * scale * Math.exp(0.3 * normal(random) - 0.045));
  return { ...world, forecast, sessions: sessionsOf(demand, random) };
}

export function scaleProblem(
  world: ScaleWorld,
  of: { demand: Float64Array; free: ArrayLike<number>; limitMs: number },
): PriceProblem {
  const firstOf = new Uint32Array(CELLS + 1);
  const kept = new Uint32Array(world.pools.length);
  let count = 0;
  for (let cell = 0; cell < CELLS; cell += 1) {
    for (let pair = cell * CANDIDATES; pair < (cell + 1) * CANDIDATES; pair += 1) {
      if ((world.rttMs[pair] ?? 0) > of.limitMs) continue;
      kept[count] = pair;
      count += 1;
    }
    firstOf[cell + 1] = count;
  }
  const pairs = kept.subarray(0, count);
  return {
    firstOf,
    pools: Uint16Array.from(pairs, (pair) => world.pools[pair] ?? 0),
    rttMs: Float32Array.from(pairs, (pair) => world.rttMs[pair] ?? 0),
    demand: of.demand,
    capacity: Float64Array.from(of.free),
  };
}

function poolSlots(random: Random): number {
  let slots = 0;
  for (let node = 0; node < NODES_PER_POOL; node += 1) {
    slots += NODE_SLOTS_FROM + random.integer(NODE_SLOTS_TO - NODE_SLOTS_FROM + 1);
  }
  return slots;
}

function sessionsOf(demand: Float64Array, random: Random): Uint16Array {
  const sessions = new Uint16Array(demand.reduce((sum, count) => sum + count, 0));
  let next = 0;
  for (const [cell, count] of demand.entries()) {
    sessions.fill(cell, next, next + count);
    next += count;
  }
  return shuffle(random, sessions);
}
