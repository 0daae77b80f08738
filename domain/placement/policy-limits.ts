/** What a policy keeps free beside a pool's own reserve, and how an app's sessions are spread: by pool, before a decision. Pure. */
import { type Coordinates, distanceKm } from "../geography.ts";
import type { LabelRequirement, Spread } from "../policy/placement-policy.ts";
import { type Labels, meetsRequirement, POOL_LABEL, REGION_LABEL } from "./labels.ts";
import type { AppliedPolicy } from "./policy-selection.ts";

/** A pool that has its share has this label, and the decision a preference against it. */
const CROWDED_LABEL = "(beyond its share of the app's sessions)";

export interface PlacedPool {
  readonly pool: string;
  readonly labels: Labels;
  readonly coordinates: Coordinates;
  /** Sessions of an app that run there; undefined where nobody counts. */
  readonly countSessions?: (app: string) => number;
}

/** Of one render class. */
export interface PoolSlots {
  readonly isOpen: boolean;
  readonly slotsTotal: number;
  readonly slotsFree: number;
}

/** The pools whose free slots count together: a pool with those near it that the policy permits and that take sessions. */
export function neighboursOf<P extends PlacedPool>(
  pool: PlacedPool,
  pools: readonly P[],
  of: {
    readonly withinKm: number;
    readonly constraints: readonly LabelRequirement[];
    readonly takesSessions: (pool: P) => boolean;
  },
): readonly P[] {
  return pools.filter((other) => {
    if (other.pool === pool.pool || distanceKm(pool.coordinates, other.coordinates) > of.withinKm) return false;
    return (
      of.takesSessions(other) && of.constraints.every((requirement) => meetsRequirement(other.labels, requirement))
    );
  });
}

/**
 * With one session more, the pool and its neighbours must still have as many slots free as the largest of them has in
 * all: then any one of them may fail, and the others take in all of its sessions. A pool without neighbours keeps nothing.
 */
export function neighbourRefusal(own: PoolSlots, neighbours: readonly PoolSlots[]): string | undefined {
  const open = neighbours.filter(({ isOpen, slotsTotal }) => isOpen && slotsTotal > 0);
  if (open.length === 0 || own.slotsFree < 1) return undefined;
  const metro = [own, ...open];
  const free = metro.reduce((sum, { slotsFree }) => sum + slotsFree, 0);
  const largest = Math.max(...metro.map(({ slotsTotal }) => slotsTotal));
  if (free - 1 >= largest) return undefined;
  return `of it and its ${open.length} neighbours ${free} slots are free, and as many as the largest has, ${largest}, are kept for when it fails`;
}

/**
 * The places that have their share. With as many places as the share needs there is always one that has not: of n
 * sessions a place may have the share of n + 1, rounded up.
 */
export function crowdedPlaces(
  { over, shareMax }: Spread,
  app: string,
  pools: readonly PlacedPool[],
): (pool: PlacedPool) => string | undefined {
  const counts = new Map<string | undefined, number>();
  const placeOf = ({ pool, labels }: PlacedPool) => labels[over === "pool" ? POOL_LABEL : REGION_LABEL] ?? pool;
  for (const pool of pools) {
    const place = placeOf(pool);
    counts.set(place, (counts.get(place) ?? 0) + (pool.countSessions?.(app) ?? 0));
  }
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const countMax = Math.ceil(shareMax * (total + 1) - 1e-9);
  return (pool) => {
    const place = placeOf(pool);
    const count = counts.get(place) ?? 0;
    if (count < countMax) return undefined;
    return `${over} ${place} has ${count} of ${total} sessions of ${app}, at most ${percent(shareMax)} are to be in one ${over}`;
  };
}

/** With a penalty a crowded pool is farther by so much; the policy's rules get a preference for it. */
export function rulesWithSpread({ rules, spread }: AppliedPolicy): AppliedPolicy["rules"] {
  if (spread?.penaltyMs === undefined) return rules;
  const against = { label: CROWDED_LABEL, operator: "Exists" as const, bonusMs: 0 - spread.penaltyMs };
  return { ...rules, preferences: [...rules.preferences, against] };
}

export function crowded<P extends PlacedPool>(pool: P): P {
  return { ...pool, labels: { ...pool.labels, [CROWDED_LABEL]: "true" } };
}

function percent(ratio: number): string {
  return `${Math.round(ratio * 1000) / 10} %`;
}
