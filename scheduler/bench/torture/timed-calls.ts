/** Calls by the time at which they are due, in buckets: many thousands wait at once. Pure: time is an argument. */

const BUCKET_MS = 50;

export class TimedCalls {
  readonly #buckets = new Map<number, (() => void)[]>();
  #next: number;

  constructor(nowMs: number) {
    this.#next = Math.floor(nowMs / BUCKET_MS);
  }

  /** Never earlier than it says, and at most a bucket later. */
  add(atMs: number, run: () => void): void {
    const bucket = Math.max(this.#next, Math.ceil(atMs / BUCKET_MS));
    const calls = this.#buckets.get(bucket) ?? [];
    this.#buckets.set(bucket, calls);
    calls.push(run);
  }

  run(nowMs: number): void {
    while (this.#next * BUCKET_MS <= nowMs) {
      const calls = this.#buckets.get(this.#next) ?? [];
      this.#buckets.delete(this.#next);
      this.#next += 1;
      for (const call of calls) call();
    }
  }
}
