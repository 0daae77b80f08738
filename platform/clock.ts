/** Time as an argument: the port that services take, and the only file that reads the machine's clocks and timers. */
import { Failure } from "#domain/failure.ts";

export interface Clock {
  /** Milliseconds since the epoch; may jump when the machine's time is corrected. */
  nowMs(): number;
  /** Milliseconds from an arbitrary start, with fractions; never goes back. */
  monotonicMs(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it is aborted first. Holds the process. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Runs once after `ms` unless disposed first. Holds the process. */
  timer(ms: number, run: () => void): Disposable;
  /** Runs every `ms`, first after `ms`, until disposed; never overlaps itself. Does not hold the process. */
  every(ms: number, run: () => void | Promise<void>): Disposable;
  /** Aborted after `ms` with a retryable `Failure("deadline-exceeded")`, or with `parent` for its reason. */
  deadline(ms: number, parent?: AbortSignal): AbortSignal;
}

/** What a `setTimeout` can hold (2^31 - 1 ms, 24.8 days); Node runs a longer one after 1 ms. */
const TIMEOUT_MS_MAX = 2_147_483_647;

/** Starts a one-shot timer: what a clock needs to offer for the functions below. */
export type StartTimer = (ms: number, run: () => void) => Disposable;

/** `Clock.every` made of one-shot timers: the next run starts a period after the last began, or when it has ended. */
export function repeatEvery(
  clock: Pick<Clock, "monotonicMs">,
  startTimer: StartTimer,
  ms: number,
  run: () => void | Promise<void>,
): Disposable {
  let stopped = false;
  let pending: Disposable;
  const turn = async (): Promise<void> => {
    const begunMs = clock.monotonicMs();
    await run();
    if (!stopped) schedule(Math.max(0, ms - (clock.monotonicMs() - begunMs)));
  };
  // A rejection here is a bug of `run`: it reaches the process's last handler as an unhandled rejection.
  const schedule = (delayMs: number): void => {
    pending = startTimer(delayMs, () => void turn());
  };
  schedule(ms);
  return {
    [Symbol.dispose]() {
      stopped = true;
      pending[Symbol.dispose]();
    },
  };
}

/** `Clock.sleep` made of one-shot timers. */
export function sleepBy(startTimer: StartTimer, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      timer[Symbol.dispose]();
      reject(signal?.reason);
    };
    const timer = startTimer(ms, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** `Clock.deadline` made of one-shot timers. */
export function deadlineBy(startTimer: StartTimer, ms: number, parent?: AbortSignal): AbortSignal {
  const controller = new AbortController();
  if (parent?.aborted) {
    controller.abort(parent.reason);
    return controller.signal;
  }
  const onAbort = (): void => {
    timer[Symbol.dispose]();
    controller.abort(parent?.reason);
  };
  const timer = startTimer(ms, () => {
    parent?.removeEventListener("abort", onAbort);
    controller.abort(new Failure("deadline-exceeded", `the deadline of ${ms} ms has passed`, { retryable: true }));
  });
  parent?.addEventListener("abort", onAbort, { once: true });
  return controller.signal;
}

function startSystemTimer(ms: number, run: () => void, holdsProcess: boolean): Disposable {
  let remainingMs = Math.max(0, ms);
  let handle: NodeJS.Timeout;
  const arm = (): void => {
    const stepMs = Math.min(remainingMs, TIMEOUT_MS_MAX);
    remainingMs -= stepMs;
    handle = setTimeout(() => (remainingMs > 0 ? arm() : run()), stepMs);
    if (!holdsProcess) handle.unref();
  };
  arm();
  return { [Symbol.dispose]: () => clearTimeout(handle) };
}

const holding: StartTimer = (ms, run) => startSystemTimer(ms, run, true);
const idle: StartTimer = (ms, run) => startSystemTimer(ms, run, false);

/** The machine's own time. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) => sleepBy(holding, ms, signal),
  timer: holding,
  every: (ms, run) => repeatEvery(systemClock, idle, ms, run),
  deadline: (ms, parent) => deadlineBy(idle, ms, parent),
};
