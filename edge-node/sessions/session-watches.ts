/** Clients that wait to hear that no agent holds their session any more: told at once, where silence would take longer to show it. */
import type { SessionWatch } from "#contracts/operator-api/sessions.ts";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";

/** Then the client asks again: proxies cut what is silent for longer. */
export const WATCH_MS_MAX = 20_000;
/** One each of the sessions of a large pool; without one a client goes by silence. */
export const WATCHES_MAX = 4_096;

export type WatchAnswer = SessionWatch;
type WatchNews = Exclude<WatchAnswer, { readonly state: "held" }>;

const HELD: WatchAnswer = { state: "held" };

export class SessionWatches implements Disposable {
  readonly #clock: Clock;
  readonly #onCount: (waiting: number) => void;
  /** By session: a newer one answers the older. */
  readonly #waiting = new Map<string, (answer: WatchAnswer) => void>();
  #isStopping = false;

  constructor(clock: Clock, onCount: (waiting: number) => void) {
    this.#clock = clock;
    this.#onCount = onCount;
  }

  /** Throws a retryable `overloaded` where too many wait, and `unavailable` where the edge stops. */
  async wait(session: string, signal: AbortSignal): Promise<WatchAnswer> {
    if (this.#isStopping) throw new Failure("unavailable", "the edge is stopping", { retryable: true });
    this.#waiting.get(session)?.(HELD);
    if (this.#waiting.size >= WATCHES_MAX && !this.#waiting.has(session)) {
      throw new Failure("overloaded", `${WATCHES_MAX} clients wait to hear of their agents`, { retryable: true });
    }
    if (signal.aborted) return HELD;
    const { promise, resolve } = Promise.withResolvers<WatchAnswer>();
    const leave = (): void => resolve(HELD);
    this.#waiting.set(session, resolve);
    this.#onCount(this.#waiting.size);
    signal.addEventListener("abort", leave, { once: true });
    using _late = this.#clock.timer(WATCH_MS_MAX, leave);
    try {
      return await promise;
    } finally {
      signal.removeEventListener("abort", leave);
      if (this.#waiting.get(session) === resolve) this.#waiting.delete(session);
      this.#onCount(this.#waiting.size);
    }
  }

  tell(session: string, news: WatchNews): void {
    this.#waiting.get(session)?.(news);
  }

  [Symbol.dispose](): void {
    this.#isStopping = true;
    for (const answer of [...this.#waiting.values()]) answer(HELD);
  }
}
