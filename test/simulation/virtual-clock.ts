/** A clock that stands still until a test advances it; timers run in the order of their due times, then of their start. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { type Clock, deadlineBy, repeatEvery, sleepBy } from "#platform/clock.ts";

interface Pending {
  readonly dueMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** Turns of the event loop given to promises and streams after each timer; where nothing but promises is at work, one will do. */
const SETTLING_TURNS = 3;

export class VirtualClock implements Clock {
  readonly #startMs: number;
  readonly #settlingTurns: number;
  #elapsedMs = 0;
  #order = 0;
  readonly #pending = new Set<Pending>();

  constructor(startMs = 1_700_000_000_000, settlingTurns = SETTLING_TURNS) {
    this.#startMs = startMs;
    this.#settlingTurns = settlingTurns;
  }

  nowMs(): number {
    return this.#startMs + this.#elapsedMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepBy(this.timer, ms, signal);
  }

  readonly timer = (ms: number, run: () => void): Disposable => {
    this.#order += 1;
    const entry: Pending = { dueMs: this.#elapsedMs + Math.max(0, ms), order: this.#order, run };
    this.#pending.add(entry);
    return { [Symbol.dispose]: () => void this.#pending.delete(entry) };
  };

  every(ms: number, run: () => void | Promise<void>): Disposable {
    return repeatEvery(this, this.timer, ms, run);
  }

  deadline(ms: number, parent?: AbortSignal): AbortSignal {
    return deadlineBy(this.timer, ms, parent);
  }

  /** How many timers wait: a test sees by it that everything was disposed. */
  get pendingTimers(): number {
    return this.#pending.size;
  }

  /** Moves time on by `ms`, running every timer that falls due on the way and letting promises settle after each. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#elapsedMs + ms;
    await this.settle();
    while (await this.runNext(untilMs));
    this.#elapsedMs = untilMs;
  }

  /** Moves time on to the next timer due by then and runs it; false where there is none, and time stands. */
  async runNext(untilMs: number): Promise<boolean> {
    const next = this.#nextDue(untilMs);
    if (next === undefined) return false;
    this.#pending.delete(next);
    this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs);
    next.run();
    await this.settle();
    return true;
  }

  async settle(): Promise<void> {
    for (let turn = 0; turn < this.#settlingTurns; turn += 1) await nextTurn();
  }

  #nextDue(untilMs: number): Pending | undefined {
    let earliest: Pending | undefined;
    for (const entry of this.#pending) {
      if (entry.dueMs > untilMs) continue;
      if (earliest === undefined || entry.dueMs < earliest.dueMs) earliest = entry;
      else if (entry.dueMs === earliest.dueMs && entry.order < earliest.order) earliest = entry;
    }
    return earliest;
  }
}
