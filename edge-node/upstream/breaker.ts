/** Whether an upstream is asked: one that is down is probed now and then, not hammered (circuit breaker). */
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";

/** Connections in a row that could not be made: no request can cause that. */
export const UNREACHED_MAX = 5;
/** Targets in a row for which a connection was cut before an answer; one bad page says little, and any number of requests for it. */
export const BROKEN_TARGETS_MAX = 16;
/** Targets in a row that took too long: then who has something stale does not wait for the upstream. */
export const LATE_TARGETS_MAX = 3;
/** Between two probes; doubles, and each is drawn between its half and its whole, so that edges do not ask together. */
const PROBE_MS_MIN = 1_000;
const PROBE_MS_MAX = 30_000;
/** A target that has not been seen to break may be asked this often, whoever asks for those that have. */
const UNSEEN_MS = 250;

export interface BreakerOptions {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly random: Pick<Random, "ratio">;
}

export class Breaker {
  readonly #options: BreakerOptions;
  readonly #late = new Set<string>();
  readonly #broken = new Set<string>();
  #unreached = 0;
  #probeMs = PROBE_MS_MIN;
  #nextProbeMs = Number.NEGATIVE_INFINITY;
  #nextUnseenMs = Number.NEGATIVE_INFINITY;
  /** Given to who took it and has not asked yet. */
  #hasProbe = false;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  /** Whether the last that was heard is that nobody answers, for this target at least: who has something stale does not wait. */
  isSuspect(target: string): boolean {
    return this.#unreached > 0 || this.#late.has(target) || this.#late.size >= LATE_TARGETS_MAX;
  }

  get isOpen(): boolean {
    return this.#unreached >= UNREACHED_MAX || this.#broken.size >= BROKEN_TARGETS_MAX;
  }

  /** Milliseconds until the next probe. */
  get retryAfterMs(): number {
    return Math.max(0, this.#nextProbeMs - this.#options.clock.monotonicMs());
  }

  /** Whether it may be asked for the target now; while it is open, true for a probe only. */
  admits(target: string): boolean {
    if (!this.isOpen) return true;
    const isGiven = this.#hasProbe || this.takeProbe();
    this.#hasProbe = false;
    return isGiven || this.#isUnseen(target);
  }

  /** True once each interval: who gets it asks the upstream although it is down. */
  takeProbe(): boolean {
    if (this.retryAfterMs > 0) return false;
    const { clock, random } = this.#options;
    this.#nextProbeMs = clock.monotonicMs() + this.#probeMs * (0.5 + random.ratio() / 2);
    this.#probeMs = Math.min(PROBE_MS_MAX, this.#probeMs * 2);
    this.#hasProbe = true;
    return true;
  }

  /** A connection stands: whatever becomes of the request on it. */
  reached(): void {
    this.#unreached = 0;
  }

  answered(): void {
    this.reached();
    this.#late.clear();
    this.#broken.clear();
    this.#probeMs = PROBE_MS_MIN;
  }

  /** No connection could be made. */
  unreached(): void {
    this.#unreached = Math.min(UNREACHED_MAX, this.#unreached + 1);
  }

  /** A connection was cut before an answer. */
  broke(target: string): void {
    if (this.#broken.size < BROKEN_TARGETS_MAX) this.#broken.add(target);
  }

  /** Somebody has waited long enough. */
  late(target: string): void {
    if (this.#late.size < LATE_TARGETS_MAX) this.#late.add(target);
  }

  #isUnseen(target: string): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#unreached >= UNREACHED_MAX || this.#broken.has(target) || nowMs < this.#nextUnseenMs) return false;
    this.#nextUnseenMs = nowMs + UNSEEN_MS;
    return true;
  }
}
