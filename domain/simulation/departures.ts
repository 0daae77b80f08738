/** Who leaves next: a binary heap of times with a number each. Pure. */

const CAPACITY_FIRST = 1024;

export class Departures {
  #count = 0;
  #atSeconds = new Float64Array(CAPACITY_FIRST);
  #ids = new Uint32Array(CAPACITY_FIRST);

  get count(): number {
    return this.#count;
  }

  /** Infinite where nobody is left. */
  get nextSeconds(): number {
    return this.#count === 0 ? Number.POSITIVE_INFINITY : (this.#atSeconds[0] ?? 0);
  }

  /** O(log count). */
  add(atSeconds: number, id: number): void {
    if (this.#count === this.#ids.length) this.#grow();
    let at = this.#count;
    this.#count += 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = this.#atSeconds[parent] ?? 0;
      if (above <= atSeconds) break;
      this.#put(at, above, this.#ids[parent] ?? 0);
      at = parent;
    }
    this.#put(at, atSeconds, id);
  }

  /** O(log count). Only where somebody is left. */
  take(): number {
    const id = this.#ids[0] ?? 0;
    this.#count -= 1;
    const last = this.#atSeconds[this.#count] ?? 0;
    const lastId = this.#ids[this.#count] ?? 0;
    let at = 0;
    for (;;) {
      const child = this.#earlierChild(at);
      if (child >= this.#count || (this.#atSeconds[child] ?? 0) >= last) break;
      this.#put(at, this.#atSeconds[child] ?? 0, this.#ids[child] ?? 0);
      at = child;
    }
    this.#put(at, last, lastId);
    return id;
  }

  #earlierChild(at: number): number {
    const left = 2 * at + 1;
    const right = left + 1;
    return right < this.#count && (this.#atSeconds[right] ?? 0) < (this.#atSeconds[left] ?? 0) ? right : left;
  }

  #put(at: number, atSeconds: number, id: number): void {
    this.#atSeconds[at] = atSeconds;
    this.#ids[at] = id;
  }

  #grow(): void {
    const [times, ids] = [this.#atSeconds, this.#ids];
    this.#atSeconds = new Float64Array(2 * times.length);
    this.#ids = new Uint32Array(2 * ids.length);
    this.#atSeconds.set(times);
    this.#ids.set(ids);
  }
}
