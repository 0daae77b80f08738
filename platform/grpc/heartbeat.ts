/** One timer for all links of a service: ten thousand of them with timers of their own would be most of its work. */
import type { Clock } from "../clock.ts";

/** How much later than its time a beat may come. */
const TURN_MS = 250;

export interface Beating {
  /** Every `periodMs` from when it was added. */
  beat(): void;
  /** Each turn; `heldMs`: for how long before it this process heard nobody, for it was held itself. */
  look(nowMs: number, heldMs: number): void;
}

/** Runs while something beats. */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #periodMs: number;
  /** When each is next to beat, monotonic. */
  readonly #dueMs = new Map<Beating, number>();
  #turns: Disposable | undefined;
  #turnedMs = 0;

  constructor(clock: Clock, periodMs: number) {
    this.#clock = clock;
    this.#periodMs = periodMs;
  }

  add(beating: Beating): Disposable {
    this.#dueMs.set(beating, this.#clock.monotonicMs() + this.#periodMs);
    if (this.#turns === undefined) this.#turnedMs = this.#clock.monotonicMs();
    this.#turns ??= this.#clock.every(TURN_MS, () => this.#turn());
    return { [Symbol.dispose]: () => this.#remove(beating) };
  }

  #remove(beating: Beating): void {
    this.#dueMs.delete(beating);
    if (this.#dueMs.size > 0) return;
    this.#turns?.[Symbol.dispose]();
    this.#turns = undefined;
  }

  /** What is late is not made up for: one beat, and the next a period later. */
  #turn(): void {
    const nowMs = this.#clock.monotonicMs();
    const heldMs = Math.max(0, nowMs - this.#turnedMs - TURN_MS);
    this.#turnedMs = nowMs;
    for (const [beating, dueMs] of this.#dueMs) {
      beating.look(nowMs, heldMs);
      if (nowMs < dueMs) continue;
      if (this.#dueMs.has(beating)) this.#dueMs.set(beating, Math.max(dueMs, nowMs - TURN_MS) + this.#periodMs);
      beating.beat();
    }
  }
}
