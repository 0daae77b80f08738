/** What time it is at the origin, by its pings and the monotonic clock; and how far the own clock is from it. */
import type { Clock } from "#platform/clock.ts";

/** Forty seconds of pings: in it one is not held up, and an origin's clock that was set right shows. */
const PINGS_KEPT = 10;

export class OriginTime {
  readonly #clock: Pick<Clock, "nowMs" | "monotonicMs">;
  /** Of each ping, the origin's time when it sent less the monotonic clock when it came: less by what it took. */
  readonly #leadsMs: number[] = [];

  constructor(clock: Pick<Clock, "nowMs" | "monotonicMs">) {
    this.#clock = clock;
  }

  /** `originMs` is the origin's epoch milliseconds when it sent, half a round trip ago. */
  heard(originMs: number): void {
    this.#leadsMs.push(originMs - this.#clock.monotonicMs());
    if (this.#leadsMs.length > PINGS_KEPT) this.#leadsMs.shift();
  }

  /** Epoch milliseconds, by the last ping; by the own clock where nothing was heard since the start. */
  nowMs(): number {
    const leadMs = this.#leadsMs.at(-1);
    return leadMs === undefined ? this.#clock.nowMs() : leadMs + this.#clock.monotonicMs();
  }

  /**
   * Of the own clock ahead of the origin's, negative where it is behind; by the ping that came fastest, which is nearest to
   * the truth. `undefined` where nothing was heard since the start.
   */
  get offsetMs(): number | undefined {
    if (this.#leadsMs.length === 0) return undefined;
    return this.#clock.nowMs() - this.#clock.monotonicMs() - Math.max(...this.#leadsMs);
  }
}
