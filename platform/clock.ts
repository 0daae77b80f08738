/** Time as an argument: the port every part takes, and the one file that reads the real clock. */
import { Failure } from "#domain/failure.ts";

export interface Clock {
  /** Epoch milliseconds; may jump. */
  nowMs(): number;
  /** Never goes back; only differences mean something. */
  monotonicMs(): number;
  /** Rejects with the signal's reason when it is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  timer(ms: number, run: () => void): Disposable;
  /** Runs again `ms` after the last run ended, so it never overlaps itself; `run` must not reject. */
  every(ms: number, run: () => void | Promise<void>): Disposable;
  /** Aborts with `deadline-exceeded` after `ms`, or with the parent. */
  deadline(ms: number, parent?: AbortSignal): AbortSignal;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) => sleepOn(systemClock, ms, signal),
  timer(ms, run) {
    const timeout = setTimeout(run, ms);
    return { [Symbol.dispose]: () => clearTimeout(timeout) };
  },
  every: (ms, run) => repeatOn(systemClock, ms, run),
  deadline: (ms, parent) => deadlineOn(systemClock, ms, parent),
};

/** What a clock derives from its `timer`; shared with simulated clocks. */
export function sleepOn(clock: Pick<Clock, "timer">, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      timer[Symbol.dispose]();
      reject(signal?.reason);
    };
    const timer = clock.timer(ms, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

export function repeatOn(clock: Pick<Clock, "timer">, ms: number, run: () => void | Promise<void>): Disposable {
  let stopped = false;
  let timer: Disposable;
  const next = () => {
    timer = clock.timer(ms, () => void Promise.resolve(run()).then(() => stopped || next()));
  };
  next();
  return {
    [Symbol.dispose]() {
      stopped = true;
      timer[Symbol.dispose]();
    },
  };
}

export function deadlineOn(clock: Pick<Clock, "timer">, ms: number, parent?: AbortSignal): AbortSignal {
  const controller = new AbortController();
  const timer = clock.timer(ms, () => {
    parent?.removeEventListener("abort", onParent);
    controller.abort(new Failure("deadline-exceeded", `no answer within ${ms} ms`, { retryable: true }));
  });
  const onParent = () => {
    timer[Symbol.dispose]();
    controller.abort(parent?.reason);
  };
  if (parent?.aborted) onParent();
  else parent?.addEventListener("abort", onParent, { once: true });
  return controller.signal;
}
