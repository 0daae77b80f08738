/** Which of the pools that a session could go to are withheld from it by what its policy keeps free, and by its spread. */
import { crowdedPlaces, neighbourRefusal, neighboursOf } from "#domain/placement/policy-limits.ts";
import type { RenderClass } from "#domain/session/render-app.ts";
import type { Capacity, Ledger } from "../ledger/ledger.ts";
import { type PoolFacts, takesSessions } from "../placement/pool-facts.ts";
import type { ConsideredPool, PlacingRequest } from "./placing.ts";

export interface Withholding {
  /** By pool: it takes nothing, and why. */
  readonly closed: ReadonlyMap<string, string>;
  /** By pool: it is taken less readily, and why. */
  readonly crowded: ReadonlyMap<string, string>;
}

/** `capacities` are those of the considered pools, in their order. */
export async function findWithholding(
  ledger: Ledger,
  request: PlacingRequest,
  renderClass: RenderClass,
  capacities: readonly Capacity[],
): Promise<Withholding> {
  const { policy, considered, currentPool, leftToOthers = new Set() } = request;
  const others = considered.filter(({ pool }) => pool.pool !== currentPool);
  const closed = new Map<string, string>();
  const crowded = new Map<string, string>();
  for (const [pool, reason] of findCrowded(request, others)) {
    (policy.spread?.penaltyMs === undefined ? closed : crowded).set(pool, reason);
  }
  for (const pool of leftToOthers) closed.set(pool, "left to others that have to leave their pools at this moment");
  const { neighbourReserve } = policy;
  if (neighbourReserve === undefined) return { closed, crowded };
  const { constraints } = policy.rules;
  for (const { pool } of others) {
    const own = capacities[considered.findIndex((candidate) => candidate.pool === pool)];
    const neighbours = neighboursOf(pool, request.fleet ?? [], { ...neighbourReserve, constraints, takesSessions });
    if (own === undefined || neighbours.length === 0) continue;
    const queries = neighbours.map((neighbour) => queryOf(neighbour, renderClass));
    const reason = neighbourRefusal(own, await ledger.capacities(queries));
    if (reason !== undefined) closed.set(pool.pool, reason);
  }
  return { closed, crowded };
}

function findCrowded({ policy, app, fleet }: PlacingRequest, others: readonly ConsideredPool[]) {
  if (policy.spread === undefined) return [];
  const crowdedBy = crowdedPlaces(policy.spread, app.name, fleet ?? []);
  return others.flatMap(({ pool }): (readonly [string, string])[] => {
    const reason = crowdedBy(pool);
    return reason === undefined ? [] : [[pool.pool, reason]];
  });
}

function queryOf({ pool, excludedAgents }: PoolFacts, { name }: RenderClass) {
  return { pool, renderClass: name, excludedAgents };
}
