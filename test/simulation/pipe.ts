/** One direction of a simulated connection: ordered, with delay and a window; it may stall, or swallow what it takes. */
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";

/** Items under way or not yet taken by the receiver; more make the sender wait, as a full socket buffer does. */
export const WINDOW_ITEMS_MAX = 32;

export interface Delay {
  readonly delayMs: number;
  /** Uniform, on top. */
  readonly jitterMs: number;
}

/** `stalled`: nothing arrives until it flows again; `swallowing`: what is sent is acknowledged and gets nowhere. */
export type PipeState = "flowing" | "stalled" | "swallowing";

export interface PipeOptions {
  /** Of the receiving process: a dead one hears nothing, a blocked one later. */
  readonly receiver: Pick<Clock, "timer">;
  readonly time: Pick<Clock, "monotonicMs">;
  readonly random: Random;
  readonly delay: () => Delay;
}

interface UnderWay<T> {
  readonly dueMs: number;
  readonly item: T;
}

export class Pipe<T> {
  readonly #options: PipeOptions;
  readonly #onArrival: (item: T) => void;
  readonly #underWay: UnderWay<T>[] = [];
  #roomWaiters: (() => void)[] = [];
  #timer: Disposable | undefined;
  #state: PipeState = "flowing";
  #lastDueMs = 0;
  #isReleased = false;
  #deadSinceMs: number | undefined;

  constructor(options: PipeOptions, onArrival: (item: T) => void) {
    this.#options = options;
    this.#onArrival = onArrival;
  }

  get size(): number {
    return this.#underWay.length;
  }

  /** Since when nothing can arrive any more; `undefined` while it can. */
  get deadSinceMs(): number | undefined {
    return this.#deadSinceMs;
  }

  send(item: T): void {
    if (this.#state === "swallowing") return;
    const { time, random, delay } = this.#options;
    const { delayMs, jitterMs } = delay();
    // As TCP: a later item never overtakes.
    const dueMs = Math.max(this.#lastDueMs, time.monotonicMs() + delayMs + random.ratio() * jitterMs);
    this.#lastDueMs = dueMs;
    this.#underWay.push({ dueMs, item });
    this.#arm();
  }

  /** Nobody waits for room any more: the call has ended. */
  release(): void {
    this.#isReleased = true;
    this.#wake();
  }

  async room(): Promise<void> {
    while (this.#underWay.length >= WINDOW_ITEMS_MAX && !this.#isReleased) {
      await new Promise<void>((resolve) => this.#roomWaiters.push(resolve));
    }
  }

  set(state: PipeState): void {
    if (this.#state === "swallowing") return;
    this.#state = state;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    if (state === "swallowing") this.#underWay.length = 0;
    if (state === "flowing") this.#deadSinceMs = undefined;
    else this.#deadSinceMs ??= this.#options.time.monotonicMs();
    this.#arm();
    this.#wake();
  }

  #arm(): void {
    const head = this.#underWay[0];
    if (this.#timer !== undefined || head === undefined || this.#state !== "flowing") return;
    const { receiver, time } = this.#options;
    this.#timer = receiver.timer(head.dueMs - time.monotonicMs(), () => {
      this.#timer = undefined;
      this.#underWay.shift();
      this.#arm();
      this.#wake();
      this.#onArrival(head.item);
    });
  }

  #wake(): void {
    const waiters = this.#roomWaiters;
    this.#roomWaiters = [];
    for (const wake of waiters) wake();
  }
}
