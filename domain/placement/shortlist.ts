/** Picks the pools worth probing: near by history, then near by geography. Pure. */
import type { Coordinates } from "../geography.ts";
import type { RttMap } from "../latency/rtt-map.ts";

/** Half by history, half by geography: six probes fit in 150 ms. */
const NEAR_BY_HISTORY_MAX = 3;
const SHORTLIST_MAX = 6;

export interface ShortlistClient {
  /** From the finest to the coarsest. */
  readonly groups: readonly string[];
  /** Undefined where nothing is known of its place. */
  readonly coordinates: Coordinates | undefined;
}

export interface ShortlistedPool {
  readonly pool: string;
  /** Undefined where neither history nor geography says. */
  readonly rttMs: number | undefined;
  readonly source: "history" | "geography";
}

export interface PoolPlace {
  readonly pool: string;
  readonly coordinates: Coordinates;
}

/** `pools` are those that may take anything at all. */
export function planShortlist(
  client: ShortlistClient,
  pools: readonly PoolPlace[],
  history: { readonly map: RttMap; readonly nowMs: number },
): ShortlistedPool[] {
  const names = new Set(pools.map(({ pool }) => pool));
  const known = history.map
    .listNearest(client.groups, history.nowMs, Number.POSITIVE_INFINITY)
    .filter(({ pool }) => names.has(pool))
    .slice(0, NEAR_BY_HISTORY_MAX)
    .map(({ pool, rttMsP50 }) => ({ pool, rttMs: rttMsP50, source: "history" as const }));
  const listed = new Set(known.map(({ pool }) => pool));
  const { groups, coordinates } = client;
  const byGeography = pools
    .filter(({ pool }) => !listed.has(pool))
    .map((place) => ({
      pool: place.pool,
      rttMs:
        coordinates === undefined
          ? undefined
          : history.map.estimateByDistance(groups, { client: coordinates, pool: place.coordinates }).rttMs,
      source: "geography" as const,
    }));
  byGeography.sort((a, b) => (a.rttMs ?? 0) - (b.rttMs ?? 0) || (a.pool < b.pool ? -1 : 1));
  return [...known, ...byGeography.slice(0, SHORTLIST_MAX - known.length)];
}
