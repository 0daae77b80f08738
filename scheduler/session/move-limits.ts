/** How often, and after how long, sessions that could go on where they are move to what is better, by their policy. */
import type { AppliedPolicy } from "#domain/placement/policy-selection.ts";
import type { Clock } from "#platform/clock.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";

/** Policies whose moves are counted; the one that has moved nothing for longest is forgotten. */
const POLICIES_COUNTED_MAX = 1_000;
const MINUTE_MS = 60_000;

interface Bucket {
  readonly moves: number;
  readonly atMs: number;
}

export class MoveLimits {
  readonly #clock: Clock;
  readonly #buckets = new BoundedMap<string, Bucket>({ entriesMax: POLICIES_COUNTED_MAX });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Why the session stays for now; `betterSinceMs` is from when on each renewal found something better. */
  findReason({ name = "", stability }: AppliedPolicy, betterSinceMs: number | undefined): string | undefined {
    const { sustainedSeconds = 0, movesPerMinuteMax } = stability ?? {};
    const seconds = (this.#clock.nowMs() - (betterSinceMs ?? this.#clock.nowMs())) / 1000;
    if (seconds < sustainedSeconds) return `better for ${Math.floor(seconds)} of ${sustainedSeconds} s`;
    if (movesPerMinuteMax === undefined || this.#left(name, movesPerMinuteMax) >= 1) return undefined;
    return `${movesPerMinuteMax} moves a minute are made already`;
  }

  moved({ name = "", stability }: AppliedPolicy): void {
    const most = stability?.movesPerMinuteMax;
    if (most === undefined) return;
    this.#buckets.set(name, { moves: this.#left(name, most) - 1, atMs: this.#clock.monotonicMs() });
  }

  /** As many at once as in a minute, refilled steadily. */
  #left(name: string, movesPerMinuteMax: number): number {
    const bucket = this.#buckets.peek(name);
    if (bucket === undefined) return movesPerMinuteMax;
    const refilled = ((this.#clock.monotonicMs() - bucket.atMs) / MINUTE_MS) * movesPerMinuteMax;
    return Math.min(movesPerMinuteMax, bucket.moves + refilled);
  }
}
