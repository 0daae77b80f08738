/** Ends of sessions to come, the earliest first: a binary heap. */
export class Departures {
  readonly #times: number[] = [];
  readonly #pools: number[] = [];

  get nextAt(): number {
    return this.#times[0] ?? Number.POSITIVE_INFINITY;
  }

  add(at: number, pool: number): void {
    let index = this.#times.length;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.#timeOf(parent) <= at) break;
      this.#put(index, this.#timeOf(parent), this.#pools[parent] ?? 0);
      index = parent;
    }
    this.#put(index, at, pool);
  }

  /** The pool that the earliest leaves. */
  take(): number {
    const left = this.#pools[0] ?? -1;
    const at = this.#times.pop() ?? 0;
    const pool = this.#pools.pop() ?? 0;
    const { length } = this.#times;
    if (length === 0) return left;
    let index = 0;
    for (let child = 1; child < length; child = 2 * index + 1) {
      if (child + 1 < length && this.#timeOf(child + 1) < this.#timeOf(child)) child += 1;
      if (this.#timeOf(child) >= at) break;
      this.#put(index, this.#timeOf(child), this.#pools[child] ?? 0);
      index = child;
    }
    this.#put(index, at, pool);
    return left;
  }

  #timeOf(index: number): number {
    return this.#times[index] ?? Number.POSITIVE_INFINITY;
  }

  #put(index: number, at: number, pool: number): void {
    this.#times[index] = at;
    this.#pools[index] = pool;
  }
}
