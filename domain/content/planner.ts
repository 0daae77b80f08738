/**
 * Plans which pool holds which object: what saves most time a byte first (lazy greedy: Minoux 1978; Leskovec et al.
 * 2007), then exchanges until none is worth it. Starts from what is held: a change touches what it is worth changing.
 * Pure, and the same for the same calls.
 *
 * With objects of one size and no bound on copies no exchange within a pool saves more than `exchangeRatioMin` of what
 * it costs when `plan` returns. Such a plan saves at least 1 / (2 + `exchangeRatioMin`) of what the best one does
 * (Fisher, Nemhauser, Wolsey 1978, for a partition matroid), from whatever it was begun.
 */
import { assert } from "../assert.ts";
import type { ServingCosts } from "./copies.ts";
import { type PlannedObject, PlanState } from "./plan-state.ts";

/** Objects too large for what is free in a pool, passed over for smaller ones. */
const PASSED_OVER_MAX = 64;
/** Objects of a pool whose exchange is tried before it is left. */
const EXCHANGES_TRIED_MAX = 8;
/** Copies added, or valued and not added yet, in a step of a plan. */
const FILL_STEPS = 64;
/** Each must save something, so that they end; a plan that is still not done by then is good enough. */
const ROUNDS_MAX = 64;
/** Of what an exchange costs: rounding never makes one look worth it. */
const RATIO_MIN = 1e-9;

export interface PlanOptions {
  /** An exchange saves more than what it costs by this ratio, or is not made; a copy that moves saves as much of all that its object costs. */
  readonly exchangeRatioMin: number;
}

export class ContentPlanner {
  readonly #state: PlanState;
  /** Set since the last plan, and not found where they are best yet. */
  readonly #changed = new Set<number>();

  /** Objects are 0 to `objects` - 1; `bytesMax` by pool. */
  constructor(costs: ServingCosts, bytesMax: Float64Array, objects: number) {
    assert(bytesMax.length === costs.pools, "each pool has a number of bytes");
    this.#state = new PlanState(costs, bytesMax, objects);
  }

  /** `pools` that hold it already; where not given it stays where it is. */
  setObject(index: number, object: PlannedObject, pools?: readonly number[]): void {
    this.#state.set(
      index,
      object,
      pools?.filter((pool) => this.#state.mayHold(object, pool)),
    );
    this.#changed.add(index);
  }

  poolsOf(index: number): readonly number[] {
    return this.#state.poolsOf(index);
  }

  usedBytes(pool: number): number {
    return this.#state.usedBytes(pool);
  }

  totalMs(): number {
    return this.#state.totalMs();
  }

  /** Gives how many gains and losses were worked out, those of `setObject` since the last plan among them. */
  plan(options: PlanOptions): number {
    let evaluations = 0;
    for (const worked of this.steps(options)) evaluations += worked;
    return evaluations;
  }

  /** The same in small steps, each giving its own count: what else has to be done is done between them. */
  *steps({ exchangeRatioMin }: PlanOptions): Generator<number, void> {
    const ratio = 1 + Math.max(RATIO_MIN, exchangeRatioMin);
    const state = this.#state;
    this.#shrink();
    yield* this.#fill();
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      let isDone = true;
      for (const index of this.#changed) {
        if (this.#relocate(index, ratio)) isDone = false;
        else this.#changed.delete(index);
        yield this.#worked();
      }
      for (let pool = 0; pool < state.pools; pool += 1) {
        while (this.#exchange(pool, ratio)) {
          isDone = false;
          yield this.#worked();
        }
      }
      if (isDone) break;
      yield* this.#fill();
    }
    this.#changed.clear();
    yield this.#worked();
  }

  #worked(): number {
    const { evaluations } = this.#state;
    this.#state.evaluations = 0;
    return evaluations;
  }

  /** Until no pool holds more than it may, and no object is in more pools. */
  #shrink(): void {
    const state = this.#state;
    for (let pool = 0; pool < state.pools; pool += 1) {
      for (const index of state.roomFor(pool, 0).evicted) state.remove(index, pool);
    }
    for (const index of this.#changed) {
      const { copies, object } = state.find(index) ?? {};
      while (copies !== undefined && copies.pools.length > (object?.copiesMax ?? state.pools)) {
        const [weakest] = copies.pools.toSorted((a, b) => copies.lossMs(a) - copies.lossMs(b));
        if (weakest !== undefined) state.remove(index, weakest);
      }
    }
  }

  *#fill(): Generator<number, void> {
    const state = this.#state;
    const passed: { readonly index: number; readonly pool: number }[] = [];
    const passedIn = new Int32Array(state.pools);
    for (let step = 1; ; step += 1) {
      const pool = this.#bestPool(passedIn);
      if (pool === undefined) break;
      if (step % FILL_STEPS === 0) yield this.#worked();
      const top = state.freshTop(pool);
      if (top === undefined || top.gainMs <= 0) {
        passedIn[pool] = PASSED_OVER_MAX;
        continue;
      }
      // Another pool's best may be better than this one's, which was less than it seemed.
      if (this.#bestPool(passedIn) !== pool) continue;
      if ((state.find(top.index)?.object.sizeBytes ?? 0) <= state.freeBytes(pool)) state.add(top.index, pool);
      else {
        state.passOver(top.index, pool);
        passed.push({ index: top.index, pool });
        passedIn[pool] = (passedIn[pool] ?? 0) + 1;
      }
    }
    for (const { index, pool } of passed) state.offerAgain(index, pool);
  }

  #bestPool(passedIn: Int32Array): number | undefined {
    const state = this.#state;
    let best: number | undefined;
    let bestGain = 0;
    for (let pool = 0; pool < state.pools; pool += 1) {
      if ((passedIn[pool] ?? 0) >= PASSED_OVER_MAX || state.freeBytes(pool) <= 0) continue;
      const gain = state.bestGain(pool);
      if (gain > bestGain) [best, bestGain] = [pool, gain];
    }
    return best;
  }

  /** Takes in what saves more than what has to go for it; false where nothing does. */
  #exchange(pool: number, ratio: number): boolean {
    const state = this.#state;
    const tried: number[] = [];
    let isDone = false;
    while (!isDone && tried.length < EXCHANGES_TRIED_MAX) {
      const top = state.freshTop(pool);
      if (top === undefined || top.gainMs <= 0) break;
      const { evicted, lossMs } = state.roomFor(pool, state.find(top.index)?.object.sizeBytes ?? 0);
      isDone = top.gainMs > lossMs * ratio;
      if (isDone) this.#move(top.index, pool, evicted);
      else {
        state.passOver(top.index, pool);
        tried.push(top.index);
      }
    }
    for (const index of tried) state.offerAgain(index, pool);
    return isDone;
  }

  #move(index: number, pool: number, evicted: readonly number[]): void {
    for (const other of evicted) this.#state.remove(other, pool);
    this.#state.add(index, pool);
  }

  /** An object in as many pools as it may be: takes one copy to where all its demand costs less, by the ratio. */
  #relocate(index: number, ratio: number): boolean {
    const state = this.#state;
    const { object, copies } = state.find(index) ?? {};
    if (object === undefined || copies === undefined || copies.pools.length < (object.copiesMax ?? state.pools)) {
      return false;
    }
    const leastMs = copies.totalMs * (ratio - 1);
    for (const from of [...copies.pools]) {
      const lossMs = copies.lossMs(from);
      copies.remove(from);
      let best: number | undefined;
      let bestMs = lossMs + leastMs;
      for (let pool = 0; pool < state.pools; pool += 1) {
        if (pool === from || copies.pools.includes(pool) || !state.mayHold(object, pool)) continue;
        state.evaluations += 1;
        const worthMs = copies.gainMs(pool) - state.roomFor(pool, object.sizeBytes).lossMs;
        if (worthMs > bestMs) [best, bestMs] = [pool, worthMs];
      }
      copies.add(from);
      if (best === undefined) continue;
      state.remove(index, from);
      this.#move(index, best, state.roomFor(best, object.sizeBytes).evicted);
      return true;
    }
    return false;
  }
}
