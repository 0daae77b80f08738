/** Which pools hold an object, and what one copy more or less is worth to those who ask for it. Pure. */

/** Costs are milliseconds that one request takes. */
export interface ServingCosts {
  readonly pools: number;
  readonly groups: number;
  /** Row-major, from pool to client group. */
  readonly poolMs: Float64Array;
  /** By client group: answered by the origin, for want of a copy. */
  readonly originMs: Float64Array;
}

/** Requests in a unit of time of the client groups that ask at all. */
export interface Demand {
  readonly groups: Int32Array;
  readonly rates: Float64Array;
}

/** Budget-aware: so much is put on a request that is not within the limit. */
export function budgetedMs(rttMs: number, { limitMs, overLimitMs }: { limitMs: number; overLimitMs: number }): number {
  return rttMs > limitMs ? rttMs + overLimitMs : rttMs;
}

export class Copies {
  readonly #costs: ServingCosts;
  readonly #demand: Demand;
  /** In ascending order. */
  readonly #pools: number[] = [];
  /** By entry of the demand: the cheapest who serves it, and the cheapest if that one were not. */
  readonly #firstMs: Float64Array;
  readonly #secondMs: Float64Array;
  readonly #firstPool: Int32Array;

  constructor(costs: ServingCosts, demand: Demand, pools: readonly number[] = []) {
    this.#costs = costs;
    this.#demand = demand;
    const { length } = demand.groups;
    this.#firstMs = new Float64Array(length);
    this.#secondMs = new Float64Array(length);
    this.#firstPool = new Int32Array(length);
    this.#pools.push(...pools);
    this.#pools.sort((a, b) => a - b);
    this.#rebuild();
  }

  get pools(): readonly number[] {
    return this.#pools;
  }

  /** What the demand costs as things stand. */
  get totalMs(): number {
    return this.#firstMs.reduce((sum, ms, index) => sum + ms * (this.#demand.rates[index] ?? 0), 0);
  }

  /** What a copy in a pool that has none would save. O(groups that ask). */
  gainMs(pool: number): number {
    const { groups, rates } = this.#demand;
    const row = pool * this.#costs.groups;
    let gain = 0;
    for (let index = 0; index < groups.length; index += 1) {
      const saved = (this.#firstMs[index] ?? 0) - (this.#costs.poolMs[row + (groups[index] ?? 0)] ?? 0);
      if (saved > 0) gain += saved * (rates[index] ?? 0);
    }
    return gain;
  }

  /** What the demand would cost more without the copy in this pool. O(groups that ask). */
  lossMs(pool: number): number {
    return this.lossesMs()[pool] ?? 0;
  }

  /** The same of each pool, 0 where there is no copy. O(groups that ask + pools). */
  lossesMs(): Float64Array {
    const { rates } = this.#demand;
    const losses = new Float64Array(this.#costs.pools);
    for (let index = 0; index < rates.length; index += 1) {
      const pool = this.#firstPool[index] ?? -1;
      if (pool < 0) continue;
      const loss = ((this.#secondMs[index] ?? 0) - (this.#firstMs[index] ?? 0)) * (rates[index] ?? 0);
      losses[pool] = (losses[pool] ?? 0) + loss;
    }
    return losses;
  }

  add(pool: number): void {
    const at = this.#pools.findIndex((other) => other > pool);
    this.#pools.splice(at < 0 ? this.#pools.length : at, 0, pool);
    this.#serve(pool);
  }

  remove(pool: number): void {
    this.#pools.splice(this.#pools.indexOf(pool), 1);
    this.#rebuild();
  }

  #rebuild(): void {
    const { groups } = this.#demand;
    for (let index = 0; index < groups.length; index += 1) {
      const originMs = this.#costs.originMs[groups[index] ?? 0] ?? 0;
      this.#firstMs[index] = originMs;
      this.#secondMs[index] = originMs;
    }
    this.#firstPool.fill(-1);
    for (const pool of this.#pools) this.#serve(pool);
  }

  #serve(pool: number): void {
    const { groups } = this.#demand;
    const row = pool * this.#costs.groups;
    for (let index = 0; index < groups.length; index += 1) {
      const ms = this.#costs.poolMs[row + (groups[index] ?? 0)] ?? 0;
      const firstMs = this.#firstMs[index] ?? 0;
      if (ms < firstMs) {
        this.#secondMs[index] = firstMs;
        this.#firstMs[index] = ms;
        this.#firstPool[index] = pool;
      } else if (ms < (this.#secondMs[index] ?? 0)) this.#secondMs[index] = ms;
    }
  }
}
