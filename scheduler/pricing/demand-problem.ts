/** Makes the problem that prices are solved from: who is expected, which pools they would probe, and what those hold. */
import { setImmediate as yieldToOthers } from "node:timers/promises";
import type { RttMap } from "#domain/latency/rtt-map.ts";
import { steppedPriceMs } from "#domain/placement/price-guard.ts";
import type { PriceProblem } from "#domain/placement/prices.ts";
import { planShortlist } from "#domain/placement/shortlist.ts";
import type { DemandGroup } from "./demand-counter.ts";
import type { PoolSlots } from "./pool-slots.ts";

/** Each costs all pools; the others go by what was found before. */
export const SHORTLISTS_MADE_MAX = 128;
/** After these other work has its turn: some milliseconds of 300 pools. */
const SHORTLISTS_AT_ONCE = 16;
/** Round trips of a group change by the hour, pools by the minute. */
const SHORTLIST_TURNS = 12;
/** More than an operator has; with one more all begin anew. */
export const POOLS_PRICED_MAX = 4_096;

/** Places of pools in columns: they keep as long as there is room. */
export class PoolColumns {
  readonly #columns = new Map<string, number>();

  get count(): number {
    return this.#columns.size;
  }

  /** False where they all had to begin anew. */
  extend(pools: readonly string[]): boolean {
    const added = pools.filter((pool) => !this.#columns.has(pool));
    const isRoom = this.#columns.size + added.length <= POOLS_PRICED_MAX;
    if (!isRoom) this.#columns.clear();
    for (const pool of isRoom ? added : pools.slice(0, POOLS_PRICED_MAX)) this.#columns.set(pool, this.#columns.size);
    return isRoom;
  }

  find(pool: string): number | undefined {
    return this.#columns.get(pool);
  }

  /** Prices by pool, where there is one. */
  collectPrices(priceMs: Float64Array): Map<string, number> {
    return this.collect(priceMs.map(steppedPriceMs));
  }

  /** By pool what is above 0. */
  collect(values: Float64Array): Map<string, number> {
    const found = new Map<string, number>();
    for (const [pool, column] of this.#columns) {
      const value = values[column] ?? 0;
      if (value > 0) found.set(pool, value);
    }
    return found;
  }
}

interface Shortlist {
  readonly madeAtTurn: number;
  readonly pools: readonly { readonly pool: string; readonly rttMs: number }[];
}

/** The pools that a session of each group is sent to probe, with the round trips expected of them. */
export class Shortlists {
  readonly #lists = new WeakMap<DemandGroup, Shortlist>();
  #turn = 0;

  /** Those that have none and the oldest, as many as a turn may cost. */
  async renew(
    groups: readonly DemandGroup[],
    pools: readonly PoolSlots[],
    rtt: { map: RttMap; nowMs: number },
  ): Promise<void> {
    this.#turn += 1;
    const places = pools.map(({ pool }) => pool);
    const madeAt = (group: DemandGroup) => this.#lists.get(group)?.madeAtTurn ?? Number.NEGATIVE_INFINITY;
    const due = groups.filter((group) => group.client !== undefined && this.#turn - madeAt(group) >= SHORTLIST_TURNS);
    due.sort((a, b) => (madeAt(a) < madeAt(b) ? -1 : 1));
    for (const [index, group] of due.slice(0, SHORTLISTS_MADE_MAX).entries()) {
      if (index > 0 && index % SHORTLISTS_AT_ONCE === 0) await yieldToOthers();
      if (group.client === undefined) continue;
      const listed = planShortlist(group.client, places, rtt);
      const known = listed.flatMap(({ pool, rttMs }) => (rttMs === undefined ? [] : [{ pool, rttMs }]));
      this.#lists.set(group, { madeAtTurn: this.#turn, pools: known });
    }
  }

  find(group: DemandGroup): Shortlist["pools"] {
    return this.#lists.get(group)?.pools ?? [];
  }
}

export interface Expected {
  readonly group: DemandGroup;
  /** Sessions at once. */
  readonly sessions: number;
}

/** `slotsElsewhere` are those of a pool that sessions use which nobody here counts. */
export function makeProblem(
  expected: readonly Expected[],
  of: {
    readonly shortlists: Shortlists;
    readonly columns: PoolColumns;
    readonly pools: readonly PoolSlots[];
    readonly slotsElsewhere: (pool: PoolSlots) => number;
  },
): PriceProblem {
  const capacity = new Float64Array(of.columns.count);
  const frameMs = new Map<string, number>();
  for (const slots of of.pools) {
    const column = of.columns.find(slots.pool.pool);
    if (column === undefined) continue;
    capacity[column] = Math.max(0, slots.slots - of.slotsElsewhere(slots));
    frameMs.set(slots.pool.pool, slots.frameMs);
  }
  const firstOf = new Uint32Array(expected.length + 1);
  const pools: number[] = [];
  const rttMs: number[] = [];
  for (const [row, { group }] of expected.entries()) {
    for (const entry of of.shortlists.find(group)) {
      const column = of.columns.find(entry.pool);
      const limitMs = group.roomMs - (frameMs.get(entry.pool) ?? Number.POSITIVE_INFINITY);
      if (column === undefined || entry.rttMs > limitMs) continue;
      pools.push(column);
      rttMs.push(entry.rttMs);
    }
    firstOf[row + 1] = pools.length;
  }
  const demand = Float64Array.from(expected, ({ sessions }) => sessions);
  return { firstOf, pools: Uint16Array.from(pools), rttMs: Float32Array.from(rttMs), demand, capacity };
}
