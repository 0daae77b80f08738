/** Tries the decisions of each turn again, with the prices and without: whether prices are worth it here and now. */
import { FILTER_RULES } from "#domain/placement/candidate.ts";
import { DecisionFrame } from "#domain/placement/decision-frame.ts";
import { decodeDecision } from "#domain/placement/decision-record.ts";
import type { PoolIds } from "#domain/placement/pool-ids.ts";
import { PriceTrial } from "#domain/placement/price-guard.ts";
import type { PoolColumns } from "./demand-problem.ts";

/** From here on a candidate is permitted and within the limit, whatever else it fails: that depends on who was before. */
const WITHIN_LIMIT_FROM = FILTER_RULES.indexOf("no-free-slot") + 1;

const frame = new DecisionFrame();

export interface TriedTurn {
  readonly decisions: readonly Uint8Array[];
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

  /** The pools that would have done, as the session itself measured them. */
  #choiceOf(decision: Uint8Array) {
    decodeDecision(new DataView(decision.buffer, decision.byteOffset, decision.byteLength), 0, frame);
    const pools: number[] = [];
    const rttMs: number[] = [];
    for (let at = 0; at < frame.count; at += 1) {
      const code = frame.codes[at] ?? 0;
      const column = this.#columns.find(this.#pools.nameOf(frame.pools[at] ?? 0));
      if (column === undefined || (code !== 0 && code < WITHIN_LIMIT_FROM)) continue;
      pools.push(column);
      rttMs.push(frame.rttMs[at] ?? 0);
    }
    return {
      firstOf: Uint32Array.of(0, pools.length),
      pools: Uint16Array.from(pools),
      rttMs: Float32Array.from(rttMs),
    };
  }
}
