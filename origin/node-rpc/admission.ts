/** How many nodes begin a stream at a time: what a new one lacks must not hold up those that are linked. */
import type { Clock } from "#platform/clock.ts";

/** A node that begins is checked, told of and caught up; the links that stand go on meanwhile. */
export const STREAMS_PER_SECOND_MAX = 500;
export const STREAMS_AT_ONCE_MAX = 1000;
/** Nobody is told to wait longer: by then it may be tried again. */
export const RETRY_AFTER_SECONDS_MAX = 30;

/** A token bucket; who finds it empty is told a turn, after those that were told one before. */
export class Admission {
  readonly #clock: Pick<Clock, "monotonicMs">;
  #tokens = STREAMS_AT_ONCE_MAX;
  /** Turns that were told and are still to come, if all keep them. */
  #turns = 0;
  #atMs: number;

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
    this.#atMs = clock.monotonicMs();
  }

  /** Seconds to wait; 0 where the node is let in. */
  ask(): number {
    const nowMs = this.#clock.monotonicMs();
    const gained = ((nowMs - this.#atMs) * STREAMS_PER_SECOND_MAX) / 1000;
    this.#atMs = nowMs;
    this.#tokens = Math.min(STREAMS_AT_ONCE_MAX, this.#tokens + gained);
    this.#turns = Math.max(0, this.#turns - gained);
    if (this.#tokens >= 1) {
      this.#tokens -= 1;
      return 0;
    }
    const seconds = Math.ceil((this.#turns + 1) / STREAMS_PER_SECOND_MAX);
    if (seconds > RETRY_AFTER_SECONDS_MAX) return RETRY_AFTER_SECONDS_MAX;
    this.#turns += 1;
    return seconds;
  }
}
