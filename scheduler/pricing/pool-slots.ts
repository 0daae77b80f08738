/** How many sessions each pool can hold, of the render classes as they are wanted, and what of it others use. */
import type { Capacity, Ledger } from "../ledger/ledger.ts";
import { isOpenFor } from "../placement/candidates.ts";
import type { PoolFacts } from "../placement/pool-facts.ts";

/** Those that most sessions want; what the others want is like them. */
export const CLASSES_PRICED_MAX = 8;

export interface PoolSlots {
  readonly pool: PoolFacts;
  /** Sessions at once. */
  readonly slots: number;
  readonly slotsUsed: number;
  /** Of rendering and encoding, as what is wanted has it on average. */
  readonly frameMs: number;
}

/** Pools that take sessions of any class that is wanted, by what the ledger says now. */
export async function readPoolSlots(
  ledger: Pick<Ledger, "capacities">,
  pools: readonly PoolFacts[],
  wanted: ReadonlyMap<string, number>,
): Promise<readonly PoolSlots[]> {
  const classes = [...wanted].sort(([, a], [, b]) => b - a).slice(0, CLASSES_PRICED_MAX);
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

/**
 * A session takes one of the slots that its class has in all, so the more of a class the fewer slots. Undefined where
 * the pool is silent or holds nothing that is wanted.
 */
export function countSlots(
  classes: readonly { readonly capacity: Capacity; readonly weight: number }[],
): Pick<PoolSlots, "slots" | "slotsUsed" | "frameMs"> | undefined {
  let weights = 0;
  let share = 0;
  let used = 0;
  let frames = 0;
  for (const { capacity, weight } of classes) {
    const { isOpen, slotsTotal, slotsFree, frameMsP95 } = capacity;
    if (!isOpen || slotsTotal === 0 || frameMsP95 === undefined) continue;
    weights += weight;
    share += weight / slotsTotal;
    used += weight * (1 - slotsFree / slotsTotal);
    frames += weight * frameMsP95;
  }
  if (weights === 0) return undefined;
  const slots = weights / share;
  return { slots, slotsUsed: (slots * used) / weights, frameMs: frames / weights };
}
