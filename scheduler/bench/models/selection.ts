/** Model A: which edge a client is sent to when nothing is full, by the shortlist and the RTT map that production uses. */
import { type Coordinates, distanceKm, EARTH_RADIUS_KM } from "#domain/geography.ts";
import { RttMap } from "#domain/latency/rtt-map.ts";
import { type PoolPlace, planShortlist } from "#domain/placement/shortlist.ts";
import { type Random, seededRandom } from "#platform/random.ts";
import type { Row } from "#test/bench/report.ts";
import { type Cities, readCities } from "./cities.ts";
import { scoreDistance } from "./distance.ts";
import { normal, shuffle, uniform } from "./draws.ts";
import { type ModelRun, rowOf } from "./model.ts";

const SPLITS = 200;
const EDGES = 68;
const NEIGHBOURS = 3;
const PROBE_SAMPLES = 3;
const LIMITS_MS = [30, 20, 10] as const;
type LimitMs = (typeof LIMITS_MS)[number];
const GEOIP_ERROR_KM = 25;
const GEOIP_WRONG_RATIO = 0.05;
/** The group that stands for a client and who is near it. */
const GROUP = "near";

/** Percent and milliseconds, means over a split's clients. */
interface Score {
  readonly within: Record<LimitMs, number>;
  readonly avoidable: Record<LimitMs, number>;
  regretMs: number;
  probes: number;
}

type Rule = "geography" | "shortlist" | "oracle" | "geographyWithError" | "shortlistWithError";
type SplitScores = Record<Rule, Score>;

interface Split {
  readonly random: Random;
  readonly edges: readonly number[];
  readonly clients: readonly number[];
}

export function runSelection(run: ModelRun): Row[] {
  const cities = readCities(run.data);
  const splits = Array.from({ length: run.isSmoke ? 1 : SPLITS }, (_, seed) => scoreSplit(cities, seed + 1));
  return [...LIMITS_MS.flatMap((limitMs) => rowsOf(splits, limitMs)), scoreDistance(cities, splits.length)];
}

function rowsOf(splits: readonly SplitScores[], limitMs: LimitMs): Row[] {
  const isJudged = limitMs === 30;
  const all = (rule: Rule, measureOf: (score: Score) => number) => splits.map((split) => measureOf(split[rule]));
  const within = (score: Score) => score.within[limitMs];
  const avoidable = (score: Score) => score.avoidable[limitMs];
  const oracle = all("oracle", within);
  const shareOf = (rule: Rule, baseline: Rule) => ({
    ...{ unit: "%", atLeast: true, values: all(rule, within), baseline: all(baseline, within), oracle },
  });
  const rows = [
    rowOf(`A within ${limitMs} ms`, {
      ...shareOf("shortlist", "geography"),
      ...(isJudged ? { target: 71.9, expected: { baseline: 63.1, oracle: 73.4 } } : {}),
    }),
    rowOf(`A within ${limitMs} ms, geolocation in error`, {
      ...shareOf("shortlistWithError", "geographyWithError"),
      ...(isJudged ? { target: 71.5 } : {}),
    }),
    rowOf(`A avoidable misses of ${limitMs} ms`, {
      ...{ unit: "%", values: all("shortlist", avoidable), baseline: all("geography", avoidable) },
      ...(isJudged ? { target: 1.5, expected: { baseline: 10.3 } } : {}),
    }),
  ];
  if (!isJudged) return rows;
  const regret = ({ regretMs }: Score) => regretMs;
  return [
    ...rows,
    rowOf("A regret", {
      ...{ unit: "ms", values: all("shortlist", regret), baseline: all("geography", regret) },
      ...{ target: 2.3, expected: { baseline: 20.7 } },
    }),
    rowOf("A probes of a client", { unit: "probes", values: all("shortlist", ({ probes }) => probes), target: 6 }),
  ];
}

function scoreSplit(cities: Cities, seed: number): SplitScores {
  const random = seededRandom(seed);
  const order = shuffle(
    random,
    Array.from({ length: cities.count }, (_, city) => city),
  );
  const split: Split = { random, edges: order.slice(0, EDGES), clients: order.slice(EDGES) };
  const truly = cities.list.map(({ coordinates }) => coordinates);
  const located = truly.map((coordinates) => displace(random, coordinates));
  const scores: SplitScores = {
    ...{ geography: emptyScore(), shortlist: emptyScore(), oracle: emptyScore() },
    ...{ geographyWithError: emptyScore(), shortlistWithError: emptyScore() },
  };
  for (const client of split.clients) {
    const bestMs = Math.min(...split.edges.map((edge) => rttOf(cities, client, edge)));
    const add = (rule: Rule, probed: readonly number[]) => {
      const probeMs = (edge: number) => probe(cities, random, { client, edge });
      const chosen = probed.length === 1 ? probed : sortBy(probed, probeMs);
      const rttMs = rttOf(cities, client, chosen[0] ?? Number.NaN);
      addOutcome(scores[rule], { rttMs, bestMs, probes: probed.length }, split.clients.length);
    };
    add("oracle", sortBy(split.edges, (edge) => rttOf(cities, client, edge)).slice(0, 1));
    add("geography", listNear(split.edges, { places: truly, from: client }).slice(0, 1));
    add("shortlist", listShort(cities, split, { places: truly, client }));
    add("geographyWithError", sortBy(split.edges, (edge) => kmBetween(located[client], truly[edge])).slice(0, 1));
    add("shortlistWithError", listShort(cities, split, { places: located, client }));
  }
  return scores;
}

/** What production would have probed, were the neighbours' round trips the history of the client's group. */
function listShort(
  cities: Cities,
  { edges, clients }: Split,
  { places, client }: { readonly places: readonly Coordinates[]; readonly client: number },
): number[] {
  const others = clients.filter((other) => other !== client);
  const neighbours = listNear(others, { places, from: client }).slice(0, NEIGHBOURS);
  const map = new RttMap({ groupsMax: 1, ageMsMax: 1 });
  // The farthest first: the map forgets the pools heard of longest ago.
  for (const edge of listNear(edges, {
    places: cities.list.map(({ coordinates }) => coordinates),
    from: client,
  }).reverse()) {
    for (const neighbour of neighbours) {
      map.record([GROUP], { pool: `${edge}`, rttMs: rttOf(cities, neighbour, edge), atMs: 0, source: "probe" });
    }
  }
  const pools: PoolPlace[] = edges.flatMap((edge) => {
    const city = cities.list[edge];
    return city === undefined ? [] : [{ pool: `${edge}`, coordinates: city.coordinates }];
  });
  const shortlist = planShortlist({ groups: [GROUP], coordinates: places[client] }, pools, { map, nowMs: 0 });
  return shortlist.map(({ pool }) => Number(pool));
}

function listNear(
  cities: readonly number[],
  { places, from }: { readonly places: readonly Coordinates[]; readonly from: number },
): number[] {
  return sortBy(cities, (city) => kmBetween(places[from], places[city]));
}

function kmBetween(from: Coordinates | undefined, to: Coordinates | undefined): number {
  return from === undefined || to === undefined ? Number.NaN : distanceKm(from, to);
}

function sortBy(items: readonly number[], measureOf: (item: number) => number): number[] {
  const valued = items.map((item) => ({ item, value: measureOf(item) }));
  return valued.sort((a, b) => a.value - b.value).map(({ item }) => item);
}

function rttOf({ rttMs, count }: Cities, client: number, edge: number): number {
  return rttMs[client * count + edge] ?? Number.NaN;
}

function probe(cities: Cities, random: Random, { client, edge }: { client: number; edge: number }): number {
  const entry = client * cities.count + edge;
  const samples = Array.from({ length: PROBE_SAMPLES }, () => {
    const drawn = rttOf(cities, client, edge) + (cities.rttMsDeviation[entry] ?? 0) * normal(random);
    return Math.max(cities.rttMsMin[entry] ?? 0, drawn);
  });
  return Math.min(...samples);
}

/** Where a table of addresses would have a client: mostly near, now and then in another country. */
function displace(random: Random, { latitude, longitude }: Coordinates): Coordinates {
  const near = Math.exp(Math.log(GEOIP_ERROR_KM) + normal(random));
  const km = random.ratio() < GEOIP_WRONG_RATIO ? uniform(random, 500, 1500) : near;
  const bearing = uniform(random, 0, 2 * Math.PI);
  const radians = (degrees: number) => (degrees * Math.PI) / 180;
  const angle = km / EARTH_RADIUS_KM;
  const from = radians(latitude);
  const to = Math.asin(Math.sin(from) * Math.cos(angle) + Math.cos(from) * Math.sin(angle) * Math.cos(bearing));
  const east = Math.atan2(
    Math.sin(bearing) * Math.sin(angle) * Math.cos(from),
    Math.cos(angle) - Math.sin(from) * Math.sin(to),
  );
  return { latitude: (to * 180) / Math.PI, longitude: longitude + (east * 180) / Math.PI };
}

function emptyScore(): Score {
  return { within: { 10: 0, 20: 0, 30: 0 }, avoidable: { 10: 0, 20: 0, 30: 0 }, regretMs: 0, probes: 0 };
}

function addOutcome(
  score: Score,
  { rttMs, bestMs, probes }: { readonly rttMs: number; readonly bestMs: number; readonly probes: number },
  clients: number,
): void {
  for (const limitMs of LIMITS_MS) {
    score.within[limitMs] += rttMs <= limitMs ? 100 / clients : 0;
    score.avoidable[limitMs] += rttMs > limitMs && bestMs <= limitMs ? 100 / clients : 0;
  }
  score.regretMs += (rttMs - bestMs) / clients;
  score.probes = Math.max(score.probes, probes);
}
