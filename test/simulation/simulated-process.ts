/** One process of a simulated machine: its clock, which stands while a slow disk holds the thread, and its end by `kill -9`. */
import { type Clock, deadlineBy, repeatEvery, sleepBy } from "#platform/clock.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** Thrown through whatever a process was doing when it was killed in the middle of it; nothing of it catches this. */
export class ProcessKilled extends Error {
  override readonly name = "ProcessKilled";
}

/** What is wrong with a machine's clocks. */
export interface ClockFaults {
  /** How far the wall clock is off; jumps. */
  readonly skewMs: () => number;
  /** Replaces the monotonic clock; only planted bugs do. */
  readonly monotonicMs?: (time: VirtualClock, skewMs: number) => number;
}

export class SimulatedProcess {
  readonly name: string;
  readonly clock: Clock;
  readonly #time: VirtualClock;
  readonly #timers = new Set<Disposable>();
  readonly #onKill: (() => void)[] = [];
  #blockedUntilMs = 0;
  #blockedMs = 0;
  #isAlive = true;

  constructor(name: string, time: VirtualClock, faults: ClockFaults) {
    this.name = name;
    this.#time = time;
    const timer = (ms: number, run: () => void): Disposable => this.#startTimer(ms, run);
    this.clock = {
      nowMs: () => time.nowMs() + faults.skewMs(),
      monotonicMs: () => faults.monotonicMs?.(time, faults.skewMs()) ?? time.monotonicMs(),
      timer,
      sleep: (ms, signal) => sleepBy(timer, ms, signal),
      every: (ms, run) => repeatEvery(time, timer, ms, () => untilKilled(run)),
      deadline: (ms, parent) => deadlineBy(timer, ms, parent),
    };
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** In all, from the start until now. */
  get blockedMs(): number {
    return this.#blockedMs - Math.max(0, this.#blockedUntilMs - this.#time.monotonicMs());
  }

  /** A synchronous write takes so long: neither timers nor messages are seen until it is done. */
  block(ms: number): void {
    this.#blockedUntilMs = Math.max(this.#blockedUntilMs, this.#time.monotonicMs()) + ms;
    this.#blockedMs += ms;
  }

  onKill(listener: () => void): void {
    this.#onKill.push(listener);
  }

  /** Nothing of it runs again. Idempotent. */
  kill(): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    for (const timer of this.#timers) timer[Symbol.dispose]();
    this.#timers.clear();
    for (const listener of this.#onKill) listener();
  }

  #startTimer(ms: number, run: () => void): Disposable {
    let pending: Disposable | undefined;
    const entry = {
      [Symbol.dispose]: () => {
        pending?.[Symbol.dispose]();
        this.#timers.delete(entry);
      },
    };
    const arm = (delayMs: number): void => {
      pending = this.#time.timer(delayMs, () => {
        const remainingMs = this.#blockedUntilMs - this.#time.monotonicMs();
        if (remainingMs > 0) return arm(remainingMs);
        this.#timers.delete(entry);
        try {
          run();
        } catch (error) {
          endOf(error);
        }
      });
    };
    if (!this.#isAlive) return entry;
    this.#timers.add(entry);
    arm(ms);
    return entry;
  }
}

async function untilKilled(run: () => void | Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    endOf(error);
  }
}

/** Who is killed by what its own timer did is gone: nobody else hears of it. */
function endOf(error: unknown): void {
  if (!(error instanceof ProcessKilled)) throw error;
}
