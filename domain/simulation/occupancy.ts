/** How full pools are of sessions of several render classes, which share them; and the tables that decisions go by. Pure. */
import type { PoolIds } from "../placement/pool-ids.ts";
import { makePoolTable, type PoolTable } from "../placement/pool-table.ts";
import type { DayPool } from "./day.ts";

/** Sums of shares of a pool are exact to this. */
const ROUNDING = 1e-9;

/**
 * A table for each class, of the same pools in the same order. A session of a class with so many slots takes that part of
 * the pool, and what is left is counted in slots of each class, as render-agents count it.
 */
export class Occupancy {
  readonly #tables: readonly PoolTable[];
  /** By class, then pool. */
  readonly #running: readonly Int32Array[];
  readonly #classIndex: ReadonlyMap<string, number>;

  constructor(
    pools: readonly DayPool[],
    of: {
      readonly classes: readonly string[];
      readonly ids: PoolIds;
      readonly slotsPerArrival: number;
      readonly priceMsOf: (pool: string) => number;
    },
  ) {
    this.#tables = of.classes.map((name) => tableOf(pools, { ...of, name }));
    this.#running = of.classes.map(() => new Int32Array(pools.length));
    this.#classIndex = new Map(of.classes.map((name, index) => [name, index]));
  }

  /** `slotsFree` changes as sessions come and go. Undefined for a class that is not of the day. */
  tableOf(renderClass: string): PoolTable | undefined {
    return this.#tables[this.#classIndex.get(renderClass) ?? -1];
  }

  /** By place of the pool in the tables: what decisions from now on go by. */
  setPrices(priceMs: Float64Array): void {
    for (const table of this.#tables) table.priceMs.set(priceMs);
  }

  priceMsAt(pool: number): number {
    return this.#tables[0]?.priceMs[pool] ?? 0;
  }

  /** One session more, or less, by places of the class and of the pool in the tables. */
  change(classAt: number, pool: number, by: 1 | -1): void {
    const running = this.#running[classAt];
    if (running !== undefined) running[pool] = (running[pool] ?? 0) + by;
    let left = 1;
    for (let each = 0; each < this.#tables.length; each += 1) {
      const held = this.#running[each]?.[pool] ?? 0;
      if (held > 0) left -= held / (this.#tables[each]?.slotsTotal[pool] || 1);
    }
    for (const { slotsFree, slotsTotal } of this.#tables) {
      slotsFree[pool] = Math.max(0, Math.floor((slotsTotal[pool] ?? 0) * left + ROUNDING));
    }
  }
}

function tableOf(
  pools: readonly DayPool[],
  of: {
    readonly name: string;
    readonly ids: PoolIds;
    readonly slotsPerArrival: number;
    readonly priceMsOf: (pool: string) => number;
  },
): PoolTable {
  const tabled = pools.map((pool) => {
    const held = pool.classes.find(({ renderClass }) => renderClass === of.name);
    const slots = scaledSlots(held?.slots ?? 0, of.slotsPerArrival);
    return {
      ...{ pool: pool.name, region: pool.region, labels: pool.labels, coordinates: pool.coordinates },
      ...{ cordoned: pool.cordoned, draining: pool.draining, slotsTotal: slots, slotsFree: slots },
      // A pool without the class is no candidate, as it is none for a scheduler.
      reachable: pool.reachable && slots > 0,
      renderEncodeMsP95: held?.renderEncodeMsP95 ?? 0,
    };
  });
  const table = makePoolTable(tabled, of.ids);
  return { ...table, priceMs: Float64Array.from(table.names, of.priceMsOf) };
}

/** A pool that has any slot keeps one. */
export function scaledSlots(slots: number, slotsPerArrival: number): number {
  return slots === 0 ? 0 : Math.max(1, Math.round(slots / slotsPerArrival));
}
