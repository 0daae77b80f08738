/** The cities of the placement models with the round trips measured between them, and the edges planned for them. */
import { join } from "node:path";
import { type Coordinates, distanceKm } from "#domain/geography.ts";
import { readRows } from "./recorded.ts";

/** A city that hosts the edge. */
const RTT_MS_MIN = 1;
const MISSING_KEPT = 3;
const POPULATION_FROM = 50_000;
const POPULATION_TO = 20_000_000;
const PLANNED_EDGES = 68;
/** Distance to the nearest edge while there is none. */
const FAR_KM = 20_000;

export interface City {
  readonly name: string;
  readonly country: string;
  readonly continent: string;
  readonly coordinates: Coordinates;
  readonly population: number;
}

export interface Cities {
  readonly count: number;
  readonly list: readonly City[];
  /** Square roots of clamped populations. */
  readonly weights: Float64Array;
  /** Row-major, from city to city, 1 ms and more. */
  readonly rttMs: Float64Array;
  readonly rttMsMin: Float64Array;
  readonly rttMsDeviation: Float64Array;
  /** Row-major great-circle distances. */
  readonly distanceKm: Float64Array;
}

/** All that are recorded. */
export function citiesOf(folder: string): City[] {
  return readRows(join(folder, "wonder2018_cities.csv"), ",").slice(1).map(cityOf);
}

export function weightOf({ population }: City): number {
  return Math.sqrt(Math.min(POPULATION_TO, Math.max(POPULATION_FROM, population)));
}

/** 226 of the 241 recorded: those with at most 3 missing entries, then those complete among them. */
export function readCities(folder: string): Cities {
  const recorded = citiesOf(folder);
  const size = recorded.length;
  const matrix = (name: string) => mirrored(readMatrix(join(folder, `wonder2018_${name}_matrix.tsv`), size), size);
  const average = matrix("rtt");
  const minimum = matrix("min");
  const deviation = matrix("mdev");
  const kept = completeAmong(average, size);
  const pick = (entryOf: (index: number) => number) =>
    Float64Array.from(kept.flatMap((row) => kept.map((column) => (row === column ? 0 : entryOf(row * size + column)))));
  const rttOf = (index: number) => Math.max(RTT_MS_MIN, average[index] ?? Number.NaN);
  const list = kept.flatMap((index) => recorded[index] ?? []);
  return {
    count: list.length,
    list,
    weights: Float64Array.from(list, weightOf),
    rttMs: pick(rttOf).map((ms) => Math.max(RTT_MS_MIN, ms)),
    rttMsMin: pick((index) => minimum[index] || rttOf(index)).map((ms) => Math.max(RTT_MS_MIN, ms)),
    rttMsDeviation: pick((index) => deviation[index] || 0),
    distanceKm: Float64Array.from(
      list.flatMap((from) => list.map((to) => distanceKm(from.coordinates, to.coordinates))),
    ),
  };
}

/** Greedy k-median: each step takes the city that most lowers the weighted distance to the nearest chosen one. */
export function planEdges({ count, list, distanceKm: km }: Cities, edges = PLANNED_EDGES): number[] {
  const weights = list.map(({ population }) => Math.sqrt(Math.max(10_000, population)));
  const nearestKm = new Float64Array(count).fill(FAR_KM);
  const chosen: number[] = [];
  while (chosen.length < edges) {
    let best = -1;
    let bestGain = Number.NEGATIVE_INFINITY;
    for (let candidate = 0; candidate < count; candidate += 1) {
      if (chosen.includes(candidate)) continue;
      const gain = weights.reduce(
        (sum, weight, city) => sum + weight * Math.max(0, (nearestKm[city] ?? 0) - (km[city * count + candidate] ?? 0)),
        0,
      );
      if (gain > bestGain) [best, bestGain] = [candidate, gain];
    }
    chosen.push(best);
    for (let city = 0; city < count; city += 1) {
      nearestKm[city] = Math.min(nearestKm[city] ?? 0, km[city * count + best] ?? 0);
    }
  }
  return chosen;
}

function cityOf(fields: readonly string[]): City {
  const [, name = "", country = "", continent = "", latitude, longitude, population] = fields;
  const coordinates = { latitude: Number(latitude), longitude: Number(longitude) };
  return { name, country, continent, coordinates, population: Number(population) };
}

/** Unknown entries are `NaN`. */
function readMatrix(path: string, size: number): Float64Array {
  const matrix = new Float64Array(size * size).fill(Number.NaN);
  readRows(path, "\t").forEach((fields, row) => {
    for (let column = 0; column < size; column += 1) {
      const value = Number(fields[column] ?? "");
      if (value > 0) matrix[row * size + column] = value;
    }
  });
  return matrix;
}

/** A missing entry takes its transpose. */
function mirrored(matrix: Float64Array, size: number): Float64Array {
  return matrix.map((value, index) => {
    if (!Number.isNaN(value)) return value;
    return matrix[(index % size) * size + Math.floor(index / size)] ?? Number.NaN;
  });
}

function completeAmong(matrix: Float64Array, size: number): number[] {
  const all = Array.from({ length: size }, (_, index) => index);
  const missingOf = (row: number, among: readonly number[]) =>
    among.filter((column) => column !== row && Number.isNaN(matrix[row * size + column])).length;
  const few = all.filter((row) => missingOf(row, all) <= MISSING_KEPT);
  return few.filter((row) => missingOf(row, few) === 0);
}
