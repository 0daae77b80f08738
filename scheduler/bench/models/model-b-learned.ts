/** Model B′: round trips are known from the nearest pools only; the rest is estimated, and learnt by a few probes an arrival. */
import type { Row } from "#test/bench/report.ts";
import { equalCapacity, type Pricing, plannedField, ratesOf, runChurn, startPricing } from "./churn.ts";
import { type Cities, planEdges, readCities } from "./cities.ts";
import { type ModelRun, rowOf, seedsOf } from "./model.ts";
import { type Field, fieldOf, twoStep } from "./rules.ts";

const LOADS = [0.6, 0.8, 0.95];
const LIMIT_MS = 30;
const KNOWN_AT_START = 8;
const PROBES = 5;
/** What an estimate says of a distance. */
const ESTIMATE_MS = 6;
const ESTIMATE_MS_PER_KM = 0.0205 * 1.15;
/** What full knowledge may be ahead by, in points. */
const LOSS_POINTS = 1.5;

export function modelBLearned(run: ModelRun): Row[] {
  const cities = readCities(run.data);
  const edges = planEdges(cities);
  const rates = ratesOf(cities);
  return LOADS.map((load) => {
    const field = plannedField(cities, equalCapacity(edges.length, load), edges);
    const of = { field, rates, limitMs: LIMIT_MS };
    const seeds = seedsOf(run);
    const knowing = seeds.map((seed) => {
      const pricing = startPricing(field, { rates, seed: seed + 1000, limitMs: LIMIT_MS });
      const rule = twoStep(field, { limitMs: LIMIT_MS, priceMs: pricing.priceMs });
      return runChurn({ ...of, seed, rule, onTurn: pricing.onTurn }).within;
    });
    const learning = seeds.map((seed) => runLearning({ cities, edges, ...of, seed }));
    return rowOf(`B'_${100 * load}pct_below_full_knowledge`, {
      unit: "points",
      values: learning.map((within, index) => (knowing[index] ?? 0) - within),
      target: LOSS_POINTS,
    });
  });
}

interface LearningRun {
  readonly cities: Cities;
  readonly edges: readonly number[];
  readonly field: Field;
  readonly rates: Float64Array;
  readonly limitMs: number;
  readonly seed: number;
}

function runLearning({ cities, edges, field, rates, limitMs, seed }: LearningRun): number {
  const km = (cell: number, pool: number) => cities.distanceKm[cell * cities.count + (edges[pool] ?? 0)] ?? 0;
  const isKnown = new Uint8Array(field.rttMs.length);
  const believedMs = Float64Array.from(field.rttMs, (_, index) => {
    return ESTIMATE_MS + ESTIMATE_MS_PER_KM * km(Math.floor(index / field.pools), index % field.pools);
  });
  const learn = (index: number): void => {
    isKnown[index] = 1;
    believedMs[index] = field.rttMs[index] ?? 0;
  };
  for (let cell = 0; cell < field.cells; cell += 1) {
    const near = edges.map((_, pool) => pool).sort((a, b) => km(cell, a) - km(cell, b));
    for (const pool of near.slice(0, KNOWN_AT_START)) learn(cell * field.pools + pool);
  }
  const pricing: Pricing = startPricing(field, { rates, seed: seed + 1000, limitMs, believedMs });
  const prices = pricing.priceMs;
  const believed = twoStep(fieldOf(believedMs, field.pools, field.capacity), { limitMs, priceMs: prices });
  const rule = (cell: number, free: Int32Array): number => {
    for (const pool of worthProbing(field, { cell, isKnown, believedMs, priceMs: prices() })) {
      learn(cell * field.pools + pool);
    }
    return believed(cell, free);
  };
  return runChurn({ field, rates, seed, limitMs, rule, onTurn: pricing.onTurn }).within;
}

/** Of the pools that nobody of the cell has measured, those that would be taken first if the estimate were true. */
function worthProbing(
  { pools }: Field,
  of: { cell: number; isKnown: Uint8Array; believedMs: Float64Array; priceMs: Float64Array },
): number[] {
  const unknown: number[] = [];
  for (let pool = 0; pool < pools; pool += 1) if (of.isKnown[of.cell * pools + pool] === 0) unknown.push(pool);
  const scoreOf = (pool: number) => (of.believedMs[of.cell * pools + pool] ?? 0) + (of.priceMs[pool] ?? 0);
  return unknown.sort((a, b) => scoreOf(a) - scoreOf(b)).slice(0, PROBES);
}
