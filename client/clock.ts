/** Time in the browser, as an argument; the one file of the client that reads it. */

export interface ClientClock {
  /** Epoch milliseconds; may jump when the machine's time is corrected. */
  nowMs(): number;
  /** Milliseconds with fractions; only differences mean something. */
  monotonicMs(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Aborted after `ms`, or with `parent` for its reason. */
  deadline(ms: number, parent?: AbortSignal): AbortSignal;
}

export const browserClock: ClientClock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = (): void => {
        clearTimeout(handle);
        reject(signal?.reason);
      };
      const handle = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, ms);
      signal?.addEventListener("abort", onAbort, { once: true });
    }),
  deadline(ms, parent) {
    const controller = new AbortController();
    const onAbort = (): void => {
      clearTimeout(handle);
      controller.abort(parent?.reason);
    };
    const handle = setTimeout(() => {
      parent?.removeEventListener("abort", onAbort);
      controller.abort(new DOMException(`the deadline of ${ms} ms has passed`, "TimeoutError"));
    }, ms);
    if (parent?.aborted) onAbort();
    else parent?.addEventListener("abort", onAbort, { once: true });
    return controller.signal;
  },
};

const offsetsMs = new WeakMap<object, number>();

/**
 * Epoch milliseconds with fractions that never go back. Of a clock the offset is taken once: one part of the client
 * stamps poses and others measure by them, also when the machine's time was set or it slept in between.
 */
export function startEpochMs(clock: Pick<ClientClock, "nowMs" | "monotonicMs">): () => number {
  const offsetMs = offsetsMs.get(clock) ?? clock.nowMs() - clock.monotonicMs();
  offsetsMs.set(clock, offsetMs);
  return () => offsetMs + clock.monotonicMs();
}

/** True when the time has passed, false when the signal was aborted first. */
export async function pause(clock: Pick<ClientClock, "sleep">, ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(ms, signal);
    return true;
  } catch (reason) {
    if (signal.aborted) return false;
    throw reason;
  }
}

/** Rejects with the signal's reason when it is aborted. */
export function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
