/** Tries the decisions of each turn again, with the prices and without: whether prices are worth it here and now. */
import type { PoolIds } from "#domain/placement/pool-ids.ts";
import { PriceTrial } from "#domain/placement/price-guard.ts";
import type { TriedChoice } from "./demand-counter.ts";
import type { PoolColumns } from "./demand-problem.ts";
import { readChoice } from "./recorded-choice.ts";

export interface TriedTurn {
  readonly decisions: readonly (Uint8Array | TriedChoice)[];
  /** How long the turn was, in expected stays. */
  readonly stays: number;
  /** By column. */
  readonly priceMs: Float64Array;
  readonly capacity: Float64Array;
}

export class DecisionTrial {
  readonly #pools: PoolIds;
  readonly #columns: PoolColumns;
  #trial: PriceTrial;
  #count: number;
  #isLosing = false;

  constructor(pools: PoolIds, columns: PoolColumns) {
    this.#pools = pools;
    this.#columns = columns;
    this.#count = columns.count;
    this.#trial = new PriceTrial(columns.count);
  }

  get lead(): number {
    return this.#trial.lead;
  }

  /** Once prices lose they have to be as good as none before they are gone by again. */
  get arePricesLosing(): boolean {
    return this.#isLosing;
  }

  /** Begins anew where columns have come to be, or are of other pools (`isAnew`). */
  prepare(isAnew: boolean): void {
    if (!isAnew && this.#count === this.#columns.count) return;
    this.#count = this.#columns.count;
    this.#trial = new PriceTrial(this.#count);
  }

  run({ decisions, stays, priceMs, capacity }: TriedTurn): void {
    for (const decision of decisions) {
      this.#trial.pass(stays / decisions.length);
      const choice = this.#choiceOf(decision);
      this.#trial.arrive({ ...choice, demand: Float64Array.of(1), capacity }, 0, priceMs);
    }
    if (decisions.length === 0) this.#trial.pass(stays);
    this.#isLosing = this.#trial.arePricesLosing || (this.#isLosing && this.#trial.lead < 0);
  }

  /** By column, where there is one. */
  #choiceOf(decision: Uint8Array | TriedChoice) {
    const choice = decision instanceof Uint8Array ? readChoice(decision, this.#pools) : decision;
    const pools: number[] = [];
    const rttMs: number[] = [];
    for (const [at, pool] of choice.pools.entries()) {
      const column = this.#columns.find(pool);
      if (column === undefined) continue;
      pools.push(column);
      rttMs.push(choice.rttMs[at] ?? 0);
    }
    return {
      firstOf: Uint32Array.of(0, pools.length),
      pools: Uint16Array.from(pools),
      rttMs: Float32Array.from(rttMs),
    };
  }
}
