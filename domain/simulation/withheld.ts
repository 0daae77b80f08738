/** What policies withhold from a simulated session beside its own rules: a metro's reserve, and places that have their share. Pure. */
import type { PlacementView } from "../placement/cell-pools.ts";
import { meetsRequirement } from "../placement/labels.ts";
import { crowdedPlaces, neighbourRefusal, neighboursOf, type PlacedPool } from "../placement/policy-limits.ts";
import type { AppliedPolicy } from "../placement/policy-selection.ts";
import type { PoolTable } from "../placement/pool-table.ts";
import type { DayPool } from "./day.ts";

interface IndexedPool extends PlacedPool {
  readonly index: number;
}

export class Withheld {
  readonly #pools: readonly IndexedPool[];
  readonly #open: ReadonlySet<string>;
  /** By app, sessions in each pool. */
  readonly #running = new Map<string, Int32Array>();
  /** By policy, for each pool its neighbours. */
  readonly #neighbours = new Map<string, readonly (readonly number[])[]>();

  /** `pools` in the order of the tables. */
  constructor(pools: readonly DayPool[]) {
    this.#pools = pools.map(({ name, labels, coordinates }, index) => ({
      ...{ pool: name, labels, coordinates, index },
      countSessions: (app) => this.#running.get(app)?.[index] ?? 0,
    }));
    const open = pools.filter(({ reachable, cordoned, draining }) => reachable && !cordoned && !draining);
    this.#open = new Set(open.map(({ name }) => name));
  }

  change(app: string, pool: number, by: 1 | -1): void {
    const running = this.#running.get(app) ?? new Int32Array(this.#pools.length);
    running[pool] = (running[pool] ?? 0) + by;
    this.#running.set(app, running);
  }

  /** The same view where nothing is withheld. O(pools · neighbours) where the policy has a reserve or a spread. */
  apply(view: PlacementView, app: string, policy: AppliedPolicy): PlacementView {
    if (policy.spread === undefined && policy.neighbourReserve === undefined) return view;
    const slotsFree = view.table.slotsFree.slice();
    const preferenceMs = view.rules.preferenceMs.slice();
    if (policy.spread !== undefined) {
      const { penaltyMs } = policy.spread;
      const crowdedBy = crowdedPlaces(policy.spread, app, this.#pools);
      for (const pool of this.#pools) {
        if (crowdedBy(pool) === undefined) continue;
        if (penaltyMs === undefined) slotsFree[pool.index] = 0;
        else preferenceMs[pool.index] = (preferenceMs[pool.index] ?? 0) + penaltyMs;
      }
    }
    if (policy.neighbourReserve !== undefined) this.#closeReserved(view.table, policy, slotsFree);
    return { table: { ...view.table, slotsFree }, rules: { ...view.rules, preferenceMs } };
  }

  #closeReserved(table: PoolTable, policy: AppliedPolicy, slotsFree: Uint32Array): void {
    const slotsOf = (index: number) => ({
      ...{ isOpen: true, slotsTotal: table.slotsTotal[index] ?? 0, slotsFree: table.slotsFree[index] ?? 0 },
    });
    for (const [index, neighbours] of this.#neighboursFor(policy).entries()) {
      if (neighbours.length === 0) continue;
      if (neighbourRefusal(slotsOf(index), neighbours.map(slotsOf)) !== undefined) slotsFree[index] = 0;
    }
  }

  #neighboursFor({ name = "", neighbourReserve, rules }: AppliedPolicy): readonly (readonly number[])[] {
    const known = this.#neighbours.get(name);
    if (known !== undefined) return known;
    const withinKm = neighbourReserve?.withinKm ?? 0;
    const { constraints } = rules;
    const permitted = this.#pools.filter(({ labels }) => constraints.every((each) => meetsRequirement(labels, each)));
    const takesSessions = ({ pool }: IndexedPool) => this.#open.has(pool);
    const made = this.#pools.map((pool) =>
      neighboursOf(pool, permitted, { withinKm, constraints: [], takesSessions }).map(({ index }) => index),
    );
    this.#neighbours.set(name, made);
    return made;
  }
}
