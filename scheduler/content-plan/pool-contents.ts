/** What edges have reported of sites' sizes, of their stores, and of what they hold whole. Pure. */
import { isRenderable, roomBytesOf } from "#domain/content/pool-store.ts";
import type { FleetPool } from "../facts/fleet.ts";

/** Of releases by site, the largest counts: some edges have another generation. */
export function releaseSizes(pools: readonly FleetPool[]): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  for (const { edges } of pools) {
    for (const { site, releaseBytes } of edges.flatMap(({ sites }) => sites ?? [])) {
      if (releaseBytes !== undefined && releaseBytes > (sizes.get(site) ?? 0)) sizes.set(site, releaseBytes);
    }
  }
  return sizes;
}

/** Bytes by pool, for published sites; a pool that reports none is not in it. */
export function storeRooms(pools: readonly FleetPool[]): ReadonlyMap<string, number> {
  return new Map(
    pools.flatMap(({ pool, edges }) => {
      const room = roomBytesOf(edges.map(({ storeBytesMax }) => storeBytesMax));
      return room === undefined ? [] : [[pool, room]];
    }),
  );
}

/**
 * What has to come before the pool can render from the site: at most all of its release. 0 where an edge has it whole,
 * where it serves an earlier one until then, and where nothing was reported yet.
 */
export function missingBytesIn({ edges }: FleetPool, site: string, releaseBytes: number): number {
  const reported = edges.flatMap(({ state, sites }) => (state === "dead" || sites === undefined ? [] : [sites]));
  const statuses = reported.map((sites) => sites.find((status) => status.site === site));
  const gaps = statuses.map((status) => (status !== undefined && isRenderable(status) ? 0 : releaseBytes));
  return gaps.length === 0 ? 0 : Math.min(...gaps);
}

/** Sites that some edge of the pool serves and has all of. */
export function wholeSites(pool: FleetPool | undefined): ReadonlySet<string> {
  const statuses = pool?.edges.flatMap(({ sites }) => sites ?? []) ?? [];
  const whole = statuses.filter(({ activeGeneration, objectsMissing }) => activeGeneration > 0 && objectsMissing === 0);
  return new Set(whole.map(({ site }) => site));
}
