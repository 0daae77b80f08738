/** Holds items until each one's due time and delivers them in order; one timer in all, whatever the number of items. */
import type { Clock } from "../clock.ts";

/** Timers have a grain of 1 ms: what is due within half of one goes now, so that the error is not all on one side. */
const EARLY_MS = 0.5;
/** Delivered items are cut off the array's front once there are this many of them. */
const COMPACT_AT_ITEMS = 1_024;

interface Held<T> {
  readonly item: T;
  readonly dueMs: number;
  readonly bytes: number;
}

export interface DelayLineOptions<T> {
  readonly clock: Clock;
  /** Returns false to stop the line until `resume` is called. */
  readonly deliver: (item: T) => boolean;
  /** Called after deliveries, with what is still in flight. */
  readonly onDelivered?: (bytesInFlight: number) => void;
}

export class DelayLine<T> implements Disposable {
  readonly #options: DelayLineOptions<T>;
  #items: Held<T>[] = [];
  #head = 0;
  #bytes = 0;
  #lastDueMs = 0;
  #timer: Disposable | undefined;
  /** The receiver takes no more for now. */
  #blocked = false;
  /** The link is half open: nothing arrives. */
  #frozen = false;

  constructor(options: DelayLineOptions<T>) {
    this.#options = options;
  }

  get bytesInFlight(): number {
    return this.#bytes;
  }

  /** An item never overtakes an earlier one, whatever its due time. */
  push(item: T, dueMs: number, bytes: number): void {
    this.#lastDueMs = Math.max(this.#lastDueMs, dueMs);
    this.#items.push({ item, dueMs: this.#lastDueMs, bytes });
    this.#bytes += bytes;
    this.#arm();
  }

  resume(): void {
    this.#blocked = false;
    this.#deliverDue();
  }

  setFrozen(frozen: boolean): void {
    this.#frozen = frozen;
    this.#deliverDue();
  }

  /** Drops what is in flight. */
  clear(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#items = [];
    this.#head = 0;
    this.#bytes = 0;
  }

  [Symbol.dispose](): void {
    this.clear();
  }

  #arm(): void {
    const next = this.#items[this.#head];
    if (next === undefined || this.#timer !== undefined || this.#blocked || this.#frozen) return;
    this.#timer = this.#options.clock.timer(next.dueMs - this.#options.clock.monotonicMs(), () => {
      this.#timer = undefined;
      this.#deliverDue();
    });
  }

  #deliverDue(): void {
    const untilMs = this.#options.clock.monotonicMs() + EARLY_MS;
    while (!this.#blocked && !this.#frozen) {
      const next = this.#items[this.#head];
      if (next === undefined || next.dueMs > untilMs) break;
      this.#head += 1;
      this.#bytes -= next.bytes;
      this.#blocked = !this.#options.deliver(next.item);
    }
    if (this.#head >= COMPACT_AT_ITEMS || this.#head === this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    this.#options.onDelivered?.(this.#bytes);
    this.#arm();
  }
}
