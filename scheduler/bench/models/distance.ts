/** Of model A: how far off distance is about a round trip that nobody of a client's groups has measured. */
import { DistanceModel, fibreRttMs } from "#domain/latency/distance-model.ts";
import { type Random, seededRandom } from "#platform/random.ts";
import { medianOf, type Row } from "#test/bench/report.ts";
import type { Cities } from "./cities.ts";
import { shuffle } from "./draws.ts";
import { rowOf } from "./model.ts";

const EDGES = 68;
/** Cities whose clients probe; the others' round trips are estimated. */
const PROBING = 100;
const PROBED_EDGES = 6;
/** Of each such city and edge. */
const PROBES = 6;
const ESTIMATED_EDGES = 12;

type RttEstimator = (client: number, edge: number) => number;

export function scoreDistance(cities: Cities, splits: number): Row {
  const scores = Array.from({ length: splits }, (_, seed) => scoreSplit(cities, seededRandom(seed + 1)));
  return rowOf("A median error of distance alone, 12 nearest", {
    ...{ unit: "ms", values: scores.map(({ model }) => model), baseline: scores.map(({ fibre }) => fibre) },
  });
}

function scoreSplit(cities: Cities, random: Random): { readonly model: number; readonly fibre: number } {
  const order = shuffle(
    random,
    Array.from({ length: cities.count }, (_, city) => city),
  );
  const edges = order.slice(0, EDGES);
  const clients = order.slice(EDGES);
  const near = (client: number) =>
    edges.toSorted((a, b) => kmBetween(cities, client, a) - kmBetween(cities, client, b));
  const probed = clients.slice(0, PROBING).flatMap((client) =>
    near(client)
      .slice(0, PROBED_EDGES)
      .flatMap((edge) => Array.from({ length: PROBES }, () => ({ client, edge }))),
  );
  const model = new DistanceModel();
  const regionOf = (client: number) => cities.list[client]?.country;
  for (const at of shuffle(random, [...probed.keys()])) {
    const { client = Number.NaN, edge = Number.NaN } = probed[at] ?? {};
    const km = kmBetween(cities, client, edge);
    model.learn(regionOf(client), { km, rttMs: rttOf(cities, client, edge), weight: 1 });
  }
  const pairs = clients.slice(PROBING).flatMap((client) =>
    near(client)
      .slice(0, ESTIMATED_EDGES)
      .map((edge) => ({ client, edge })),
  );
  const errorOf = (estimate: RttEstimator) =>
    medianOf(pairs.map(({ client, edge }) => Math.abs(estimate(client, edge) - rttOf(cities, client, edge))));
  return {
    model: errorOf((client, edge) => model.estimate(regionOf(client), kmBetween(cities, client, edge)).rttMs),
    fibre: errorOf((client, edge) => fibreRttMs(kmBetween(cities, client, edge))),
  };
}

function kmBetween(cities: Cities, client: number, edge: number): number {
  return cities.distanceKm[client * cities.count + edge] ?? Number.NaN;
}

function rttOf(cities: Cities, client: number, edge: number): number {
  return cities.rttMs[client * cities.count + edge] ?? Number.NaN;
}
