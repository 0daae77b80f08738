/** Plans what each pool's edges answer new users while they are cut off. Pure. */
import { distanceKm } from "#domain/geography.ts";
import type { SteeringEntry, SteeringTableSpec } from "#domain/placement/steering-table.ts";
import type { FleetEdge, FleetPool } from "../facts/fleet.ts";

/** The pool's own edges and those of some neighbours; the schema's limit is 64. */
export const ENTRIES_MAX = 32;

/** The pool's own edges first, then those of the nearest pools; none that is dead, cordoned or draining. */
export function planSteeringTables(pools: readonly FleetPool[]): readonly SteeringTableSpec[] {
  return pools.map((pool) => {
    const others = pools.filter((other) => other.pool !== pool.pool);
    const distances = new Map(others.map((other) => [other, distanceKm(pool.coordinates, other.coordinates)]));
    others.sort((a, b) => (distances.get(a) ?? 0) - (distances.get(b) ?? 0) || (a.pool < b.pool ? -1 : 1));
    const entries = [pool, ...others].flatMap(entriesOf);
    return { pool: pool.pool, edges: entries.slice(0, ENTRIES_MAX) };
  });
}

function entriesOf({ edges }: FleetPool): readonly SteeringEntry[] {
  return edges.filter(isOpen).map(({ node, pool, contentUrl, hostname }) => ({ node, pool, contentUrl, hostname }));
}

function isOpen({ state, cordoned, draining }: FleetEdge): boolean {
  return state !== "dead" && !cordoned && !draining;
}
