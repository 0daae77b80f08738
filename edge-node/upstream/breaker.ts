/** Whether an upstream is asked: one that does not answer is probed now and then, not hammered (circuit breaker). */
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";

/** No connection or no answer in time; or a connection that broke before an answer, which one request can cause. */
export type Failing = "unreachable" | "broken";

/** Five requests that found nobody, or thirty that were cut off. */
const STRIKES_MAX = 30;
const STRIKES: Readonly<Record<Failing, number>> = { unreachable: 6, broken: 1 };
/** An upstream that answered others just now is not down. */
const ANSWERED_MS = 1_000;
/** Between two probes; doubles, and each is drawn between its half and its whole, so that edges do not ask together. */
const PROBE_MS_MIN = 1_000;
const PROBE_MS_MAX = 30_000;

export interface BreakerOptions {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly random: Pick<Random, "ratio">;
}

export class Breaker {
  readonly #options: BreakerOptions;
  #strikes = 0;
  #answeredMs = Number.NEGATIVE_INFINITY;
  #isUnreachable = false;
  #probeMs = PROBE_MS_MIN;
  #nextProbeMs = Number.NEGATIVE_INFINITY;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  /** Whether the last that was heard is that nobody answers: who has something stale does not wait for it. */
  get isSuspect(): boolean {
    return this.#isUnreachable;
  }

  get isOpen(): boolean {
    const silentMs = this.#options.clock.monotonicMs() - this.#answeredMs;
    return this.#strikes >= STRIKES_MAX && silentMs >= ANSWERED_MS;
  }

  /** Milliseconds until the next probe. */
  get retryAfterMs(): number {
    return Math.max(0, this.#nextProbeMs - this.#options.clock.monotonicMs());
  }

  /** True once each interval: who gets it asks the upstream although it is down. */
  takeProbe(): boolean {
    if (this.retryAfterMs > 0) return false;
    const { clock, random } = this.#options;
    this.#nextProbeMs = clock.monotonicMs() + this.#probeMs * (0.5 + random.ratio() / 2);
    this.#probeMs = Math.min(PROBE_MS_MAX, this.#probeMs * 2);
    return true;
  }

  answered(): void {
    this.#strikes = 0;
    this.#isUnreachable = false;
    this.#probeMs = PROBE_MS_MIN;
    this.#answeredMs = this.#options.clock.monotonicMs();
  }

  failed(how: Failing): void {
    this.#strikes = Math.min(STRIKES_MAX, this.#strikes + STRIKES[how]);
    if (how === "broken" || this.#isUnreachable) return;
    this.#isUnreachable = true;
    this.takeProbe();
  }
}
