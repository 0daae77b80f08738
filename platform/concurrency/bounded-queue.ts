/** A first-in first-out queue with a limit, taken from by waiting: the only way work waits in memory. */
import { assert } from "#domain/assert.ts";
import { Failure } from "#domain/failure.ts";

export type PushOutcome = "accepted" | "full" | "closed";

interface Waiter<T> {
  readonly resolve: (item: T) => void;
  readonly reject: (reason: unknown) => void;
}

export class BoundedQueue<T> {
  readonly itemsMax: number;
  readonly #items: T[] = [];
  #head = 0;
  readonly #waiters = new Set<Waiter<T>>();
  #closed = false;

  constructor(itemsMax: number) {
    assert(Number.isInteger(itemsMax) && itemsMax > 0, `a queue holds at least one item, got ${itemsMax}`);
    this.itemsMax = itemsMax;
  }

  get size(): number {
    return this.#items.length - this.#head;
  }

  /** `full` changes nothing: the caller sheds, refuses or waits. */
  push(item: T): PushOutcome {
    if (this.#closed) return "closed";
    for (const waiter of this.#waiters) {
      this.#waiters.delete(waiter);
      waiter.resolve(item);
      return "accepted";
    }
    if (this.size >= this.itemsMax) return "full";
    this.#items.push(item);
    return "accepted";
  }

  /** Pushes, dropping the oldest item when full; gives the dropped one, if any. */
  pushDroppingOldest(item: T): T | undefined {
    const dropped = this.size >= this.itemsMax ? this.tryTake() : undefined;
    this.push(item);
    return dropped;
  }

  /** The oldest item, or `undefined` where the queue is empty. */
  tryTake(): T | undefined {
    if (this.size === 0) return undefined;
    const item = this.#items[this.#head];
    this.#head += 1;
    if (this.#head * 2 > this.itemsMax || this.#head === this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Waits for an item; rejects with the signal's reason, or with `unavailable` once the queue is closed and empty. */
  take(signal: AbortSignal): Promise<T> {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.size > 0) return Promise.resolve(this.tryTake() as T);
    if (this.#closed) return Promise.reject(closedFailure());
    return new Promise<T>((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiters.delete(waiter);
        reject(signal.reason);
      };
      const settled = (): void => signal.removeEventListener("abort", onAbort);
      const waiter: Waiter<T> = {
        resolve: (item) => {
          settled();
          resolve(item);
        },
        reject: (reason) => {
          settled();
          reject(reason);
        },
      };
      this.#waiters.add(waiter);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Takes no more; what is queued can still be taken. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const waiter of this.#waiters) waiter.reject(closedFailure());
    this.#waiters.clear();
  }
}

function closedFailure(): Failure {
  return new Failure("unavailable", "the queue is closed and empty");
}
