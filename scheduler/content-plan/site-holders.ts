/** Plans which pools hold the sites that not all can: near to those who ask, within each pool's room. Pure. */
import { budgetedMs, type ServingCosts } from "#domain/content/copies.ts";
import { ContentPlanner } from "#domain/content/planner.ts";
import type { Coordinates } from "#domain/geography.ts";
import { fibreRttMsBetween } from "#domain/latency/distance-model.ts";
import { rankByHash } from "../steering/rendezvous.ts";

/** Fewer clients say nothing: a site stays where it is, and one that is nowhere goes where the hash says. */
export const CLIENTS_MIN = 20;
/** Those most asked for; the others stay where they are. */
export const SITES_PLANNED_MAX = 2000;
/** A request answered within it is worth more, as in the placement benchmark's model E. */
const LIMIT_MS = 30;
const OVER_LIMIT_MS = 75;
/** Farther than any pool: a first copy of one site comes before a second one of another that is asked for as much. */
const ORIGIN_MS = 1000;
/** A copy moves for no less than a fifth: what is fetched costs something too. */
const EXCHANGE_RATIO_MIN = 0.2;

export interface LimitedSite {
  readonly site: string;
  /** Of its release; 1 where it is not known. */
  readonly sizeBytes: number;
  /** Where the policies permit it. */
  readonly permitted: readonly string[];
  /** In so many of them. */
  readonly copies: number;
  readonly held: ReadonlySet<string>;
}

export interface KnownDemand {
  /** Clients by the pool nearest to them. */
  clientsOf(site: string): ReadonlyMap<string, number>;
  /** From the clients of one pool to another, where it is known. */
  rttMs(home: string, pool: string): number | undefined;
}

export interface PlannedPool {
  readonly pool: string;
  readonly coordinates: Coordinates;
  /** For these sites; infinite where nothing is known of it. */
  readonly roomBytes: number;
}

interface AskedSite extends LimitedSite {
  readonly groups: Int32Array;
  readonly rates: Float64Array;
}

/** By site, in small steps, each giving how many values it worked out. `pools` in the order of their names. */
export function* planSiteHolders(
  pools: readonly PlannedPool[],
  limited: readonly LimitedSite[],
  demand: KnownDemand,
): Generator<number, ReadonlyMap<string, ReadonlySet<string>>> {
  const asked = yield* mostAsked(pools, limited, demand);
  const chosen = yield* choose(pools, asked, demand);
  const room = new Map(pools.map(({ pool, roomBytes }) => [pool, roomBytes]));
  const take = (pool: string, bytes: number) => room.set(pool, (room.get(pool) ?? 0) - bytes);
  for (const { site, sizeBytes } of asked) for (const pool of chosen.get(site) ?? []) take(pool, sizeBytes);
  const others = limited.filter(({ site }) => !chosen.has(site));
  const planned = new Map<string, ReadonlySet<string>>();
  for (const { site, sizeBytes, permitted, copies, held } of [...asked, ...others]) {
    const holders = new Set(chosen.get(site));
    planned.set(site, holders);
    if (holders.size >= copies) continue;
    const ranked = rankByHash(site, permitted);
    for (const pool of [...ranked.filter((name) => held.has(name)), ...ranked]) {
      if (holders.size >= copies || holders.has(pool) || (room.get(pool) ?? 0) < sizeBytes) continue;
      holders.add(pool);
      take(pool, sizeBytes);
    }
    yield pools.length;
  }
  return planned;
}

function* mostAsked(
  pools: readonly PlannedPool[],
  limited: readonly LimitedSite[],
  demand: KnownDemand,
): Generator<number, readonly AskedSite[]> {
  const indexes = new Map(pools.map(({ pool }, index) => [pool, index]));
  const asked: (AskedSite & { readonly total: number })[] = [];
  for (const site of limited) {
    const clients = [...demand.clientsOf(site.site)].flatMap(([pool, count]) => {
      const group = indexes.get(pool);
      return group === undefined ? [] : [{ group, count }];
    });
    clients.sort((a, b) => a.group - b.group);
    const rates = Float64Array.from(clients, ({ count }) => count);
    const total = rates.reduce((sum, rate) => sum + rate, 0);
    const groups = Int32Array.from(clients, ({ group }) => group);
    if (total >= CLIENTS_MIN) asked.push({ ...site, groups, rates, total });
    yield clients.length;
  }
  asked.sort((a, b) => b.total - a.total || (a.site < b.site ? -1 : 1));
  return asked.slice(0, SITES_PLANNED_MAX);
}

function* choose(
  pools: readonly PlannedPool[],
  asked: readonly AskedSite[],
  demand: KnownDemand,
): Generator<number, ReadonlyMap<string, readonly string[]>> {
  if (asked.length === 0) return new Map();
  const rooms = Float64Array.from(pools, ({ roomBytes }) => Math.max(0, roomBytes));
  const planner = new ContentPlanner(costsOf(pools, demand), rooms, asked.length);
  for (const [index, { sizeBytes, groups, rates, copies, permitted, held }] of asked.entries()) {
    const names = new Set(permitted);
    const mayBeIn = (pool: number) => names.has(pools[pool]?.pool ?? "");
    const holding = pools.flatMap(({ pool }, at) => (held.has(pool) ? [at] : []));
    planner.setObject(index, { sizeBytes, demand: { groups, rates }, copiesMax: copies, mayBeIn }, holding);
    yield pools.length;
  }
  yield* planner.steps({ exchangeRatioMin: EXCHANGE_RATIO_MIN });
  return new Map(asked.map(({ site }, index) => [site, planner.poolsOf(index).flatMap((at) => pools[at]?.pool ?? [])]));
}

/** The clients whose nearest pool is the same are a group, at that pool's place. */
function costsOf(pools: readonly PlannedPool[], demand: KnownDemand): ServingCosts {
  const rttMs = pools.flatMap((to) =>
    pools.map((home) => demand.rttMs(home.pool, to.pool) ?? fibreRttMsBetween(home.coordinates, to.coordinates)),
  );
  const budgeted = (ms: number) => budgetedMs(ms, { limitMs: LIMIT_MS, overLimitMs: OVER_LIMIT_MS });
  return {
    ...{ pools: pools.length, groups: pools.length },
    poolMs: Float64Array.from(rttMs, budgeted),
    originMs: new Float64Array(pools.length).fill(ORIGIN_MS),
  };
}
