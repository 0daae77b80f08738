/** What time it is at the origin: by its last ping and the monotonic clock, by the own clock where nothing was heard since the start. */
import type { Clock } from "#platform/clock.ts";

export class OriginTime {
  readonly #clock: Clock;
  #heard: { readonly originMs: number; readonly monotonicMs: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `originMs` is the origin's epoch milliseconds when it sent, half a round trip ago. */
  heard(originMs: number): void {
    this.#heard = { originMs, monotonicMs: this.#clock.monotonicMs() };
  }

  /** Epoch milliseconds. */
  nowMs(): number {
    if (this.#heard === undefined) return this.#clock.nowMs();
    return this.#heard.originMs + this.#clock.monotonicMs() - this.#heard.monotonicMs;
  }
}
