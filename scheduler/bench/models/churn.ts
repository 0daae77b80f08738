/** Sessions that come and go: Poisson arrivals by city weight, exponential stays, pools of limited capacity (model B). */
import { DemandForecast } from "#domain/placement/demand-forecast.ts";
import { type PriceProblem, solvePrices } from "#domain/placement/prices.ts";
import { type Random, seededRandom } from "#platform/random.ts";
import { type Cities, planEdges } from "./cities.ts";
import { Departures } from "./departures.ts";
import { cumulate, drawIndex, exponential, normal } from "./draws.ts";
import { type Field, fieldOf, type Rule } from "./rules.ts";

/** Sessions at once, on average. */
export const SESSIONS = 6000;
const UNITS = 6;
const UNITS_NOT_COUNTED = 2;
export const RESOLVE_UNITS = 0.25;
/** Standard deviation of the forecast's error, in the logarithm. */
const FORECAST_ERROR = 0.3;
/** Units after which what came counts by 1/e. */
const MEMORY_UNITS = 4;

export interface ChurnOptions {
  readonly field: Field;
  /** Sessions that each cell begins in a unit. */
  readonly rates: Float64Array;
  readonly seed: number;
  readonly rule: Rule;
  readonly limitMs: number;
  /** Before each solve of prices, with what came since the last. */
  readonly onTurn?: (arrivals: Float64Array) => void;
  readonly onPlaced?: (at: number, isWithin: boolean) => void;
  /** Times a cell's rate for some time; stays are as ever. */
  readonly crowd?: { readonly cell: number; readonly factor: number; readonly from: number; readonly to: number };
  /** Called with each cell before it is placed. */
  readonly onArrival?: (cell: number) => void;
}

export interface ChurnResult {
  /** Percent of those that came after the start. */
  readonly within: number;
  readonly refused: number;
}

export function equalCapacity(pools: number, load: number): Int32Array {
  const total = Math.round(SESSIONS / load);
  return Int32Array.from({ length: pools }, (_, pool) => Math.floor(total / pools) + (pool < total % pools ? 1 : 0));
}

export function plannedField(cities: Cities, capacity: Int32Array, edges = planEdges(cities)): Field {
  const { count, rttMs } = cities;
  const rows = Array.from({ length: count }, (_, city) => edges.map((edge) => rttMs[city * count + edge] ?? 0));
  return fieldOf(Float64Array.from(rows.flat()), edges.length, capacity);
}

export function ratesOf({ weights }: Cities): Float64Array {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => (SESSIONS * weight) / sum);
}

export function runChurn(options: ChurnOptions): ChurnResult {
  const { field, rule, limitMs } = options;
  const random = seededRandom(options.seed);
  const free = Int32Array.from(field.capacity);
  const departures = new Departures();
  const arrivals = new Float64Array(field.cells);
  const stream = arrivalsOf(options, random);
  const counted = { all: 0, within: 0, refused: 0 };
  let turnAt = RESOLVE_UNITS;
  for (let { at, cell } = stream(); at < UNITS; { at, cell } = stream()) {
    for (; departures.nextAt <= at; ) {
      const pool = departures.take();
      free[pool] = (free[pool] ?? 0) + 1;
    }
    if (at >= turnAt) {
      options.onTurn?.(arrivals);
      arrivals.fill(0);
      turnAt += RESOLVE_UNITS;
    }
    arrivals[cell] = (arrivals[cell] ?? 0) + 1;
    options.onArrival?.(cell);
    const stay = exponential(random, 1);
    const pool = rule(cell, free);
    const isWithin = pool >= 0 && (field.rttMs[cell * field.pools + pool] ?? 0) <= limitMs;
    options.onPlaced?.(at, isWithin);
    if (at >= UNITS_NOT_COUNTED) {
      counted.all += 1;
      counted.within += isWithin ? 1 : 0;
      counted.refused += pool < 0 ? 1 : 0;
    }
    if (pool < 0) continue;
    free[pool] = (free[pool] ?? 0) - 1;
    departures.add(at + stay, pool);
  }
  return { within: (100 * counted.within) / counted.all, refused: (100 * counted.refused) / counted.all };
}

/** One after the other; a crowd's are a stream of their own, merged in. */
function arrivalsOf({ rates, crowd }: ChurnOptions, random: Random): () => { at: number; cell: number } {
  const sums = cumulate(rates);
  const meanGap = 1 / (sums.at(-1) ?? 1);
  const extra = crowd === undefined ? 0 : (crowd.factor - 1) * (rates[crowd.cell] ?? 0);
  let nextAt = exponential(random, meanGap);
  let crowdAt =
    crowd === undefined || extra <= 0 ? Number.POSITIVE_INFINITY : crowd.from + exponential(random, 1 / extra);
  return () => {
    if (crowd !== undefined && crowdAt < crowd.to && crowdAt < nextAt) {
      const at = crowdAt;
      crowdAt += exponential(random, 1 / extra);
      return { at, cell: crowd.cell };
    }
    const at = nextAt;
    nextAt += exponential(random, meanGap);
    return { at, cell: drawIndex(random, sums) };
  };
}

/** The forecast that a scheduler has at the start: true rates, each off by a lognormal error, rescaled to their sum. */
export function forecastOf(rates: Float64Array, seed: number): Float64Array {
  const random = seededRandom(seed);
  const off = rates.map((rate) => rate * Math.exp(FORECAST_ERROR * normal(random)));
  const scale = rates.reduce((sum, rate) => sum + rate, 0) / off.reduce((sum, rate) => sum + rate, 0);
  return off.map((rate) => rate * scale);
}

/** The pools within the limit of each cell, by the round trips that are believed. */
export function problemOf(field: Field, demand: Float64Array, limitMs: number, believedMs = field.rttMs): PriceProblem {
  const firstOf = new Uint32Array(field.cells + 1);
  const pools: number[] = [];
  const rttMs: number[] = [];
  for (let cell = 0; cell < field.cells; cell += 1) {
    for (let pool = 0; pool < field.pools; pool += 1) {
      const rtt = believedMs[cell * field.pools + pool] ?? Number.POSITIVE_INFINITY;
      if (rtt > limitMs) continue;
      pools.push(pool);
      rttMs.push(rtt);
    }
    firstOf[cell + 1] = pools.length;
  }
  const capacity = Float64Array.from(field.capacity);
  return { firstOf, pools: Uint16Array.from(pools), rttMs: Float32Array.from(rttMs), demand, capacity };
}

export interface Pricing {
  readonly priceMs: () => Float64Array;
  readonly onTurn: (arrivals: Float64Array) => void;
}

/** Prices as the slow loop keeps them: a forecast that learns, solved anew at every turn. A stay is one unit long. */
export function startPricing(
  field: Field,
  {
    rates,
    seed,
    limitMs,
    believedMs,
  }: { rates: Float64Array; seed: number; limitMs: number; believedMs?: Float64Array },
): Pricing {
  const forecast = new DemandForecast(forecastOf(rates, seed), MEMORY_UNITS);
  const solve = (previous?: Float64Array) =>
    solvePrices(problemOf(field, forecast.rates(), limitMs, believedMs), previous).priceMs;
  let prices = solve();
  return {
    priceMs: () => prices,
    onTurn(arrivals) {
      forecast.observe(arrivals, RESOLVE_UNITS);
      prices = solve(prices);
    },
  };
}
