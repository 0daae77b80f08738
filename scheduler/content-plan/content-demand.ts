/** Counts who asks for which site, by the pool nearest to them, and how far they are from others. Bounded; fades. */
import type { Clock } from "#platform/clock.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";

/** A day has each hour's demand in it: what is held does not follow the sun. */
export const DEMAND_HALF_LIFE_MS = 86_400_000;
/** The site that nobody asked for longest is forgotten, and stays where it is. */
export const DEMAND_SITES_MAX = 10_000;
/** Nearest pools of a site's clients, and pools that one pool's clients are known to be so far from. */
const DEMAND_POOLS_MAX = 512;
/** Gain of the smoothed round trip (RFC 6298 section 2). */
const SMOOTHING_GAIN = 1 / 8;

export interface SeenPool {
  readonly pool: string;
  readonly rttMs: number;
}

interface Count {
  readonly clients: number;
  readonly atMs: number;
}

export class ContentDemand {
  readonly #clock: Clock;
  readonly #sites: BoundedMap<string, BoundedMap<string, Count>>;
  readonly #rttMs: BoundedMap<string, BoundedMap<string, number>>;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sites = new BoundedMap({ entriesMax: DEMAND_SITES_MAX });
    this.#rttMs = new BoundedMap({ entriesMax: DEMAND_POOLS_MAX });
  }

  /** One client, and what is known of its way to the pools around it, whether or not they hold the site. */
  asked(site: string, seen: readonly SeenPool[]): void {
    const [home] = seen.toSorted((a, b) => a.rttMs - b.rttMs || (a.pool < b.pool ? -1 : 1));
    if (home === undefined) return;
    const counts = open(this.#sites, site);
    const atMs = this.#clock.monotonicMs();
    counts.set(home.pool, { clients: faded(counts.get(home.pool), atMs) + 1, atMs });
    const known = open(this.#rttMs, home.pool);
    for (const { pool, rttMs } of seen) {
      const before = known.get(pool) ?? rttMs;
      known.set(pool, before + SMOOTHING_GAIN * (rttMs - before));
    }
  }

  /** Clients by the pool nearest to them, those of the last days; empty where nobody asked. */
  clientsOf(site: string): ReadonlyMap<string, number> {
    const atMs = this.#clock.monotonicMs();
    const counts = [...(this.#sites.peek(site)?.entries() ?? [])];
    return new Map(counts.map(([pool, count]) => [pool, faded(count, atMs)]));
  }

  /** From the clients of one pool to another; `undefined` where none of them was near enough to tell. */
  rttMs(home: string, pool: string): number | undefined {
    return this.#rttMs.peek(home)?.peek(pool);
  }
}

function open<V>(maps: BoundedMap<string, BoundedMap<string, V>>, key: string): BoundedMap<string, V> {
  const map = maps.get(key) ?? new BoundedMap<string, V>({ entriesMax: DEMAND_POOLS_MAX });
  maps.set(key, map);
  return map;
}

function faded(count: Count | undefined, atMs: number): number {
  return count === undefined ? 0 : count.clients * 2 ** ((count.atMs - atMs) / DEMAND_HALF_LIFE_MS);
}
