/** Time in the browser, as an argument; the one file of the client that reads it. */

export interface ClientClock {
  /** Epoch milliseconds. */
  nowMs(): number;
  /** Milliseconds with fractions; only differences mean something. */
  monotonicMs(): number;
  /** An aborted signal after `ms`. */
  deadline(ms: number): AbortSignal;
}

export const browserClock: ClientClock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  deadline: (ms) => AbortSignal.timeout(ms),
};
