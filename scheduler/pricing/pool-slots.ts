/** How many sessions each pool can hold, of the render classes as they are wanted, and what of it others use. */
import { countSlots, mostWanted, type WantedSlots } from "#domain/placement/wanted-slots.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { isOpenFor } from "../placement/candidates.ts";
import type { PoolFacts } from "../placement/pool-facts.ts";

export interface PoolSlots extends WantedSlots {
  readonly pool: PoolFacts;
}

/** Pools that take sessions of any class that is wanted, by what the ledger says now. */
export async function readPoolSlots(
  ledger: Pick<Ledger, "capacities">,
  pools: readonly PoolFacts[],
  wanted: ReadonlyMap<string, number>,
): Promise<readonly PoolSlots[]> {
  const classes = mostWanted(wanted);
  const open = pools.filter((pool) => isOpenFor(pool, []));
  const queries = open.flatMap(({ pool, excludedAgents }) =>
    classes.map(([renderClass]) => ({ pool, renderClass, excludedAgents })),
  );
  const capacities = await ledger.capacities(queries);
  return open.flatMap((pool, at) => {
    const own = capacities.slice(at * classes.length, (at + 1) * classes.length);
    const counted = countSlots(own.map((capacity, index) => ({ capacity, weight: classes[index]?.[1] ?? 0 })));
    return counted === undefined ? [] : [{ pool, ...counted }];
  });
}
