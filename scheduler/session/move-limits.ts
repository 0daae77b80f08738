/** How many sessions may move at a time: to each pool, breaks before the rest, and of each policy that says so. */
import { MoveBudget } from "#domain/placement/move-budget.ts";
import { BREAK_CONFIRMED_MS_MIN } from "#domain/placement/move-rule.ts";
import type { AppliedPolicy } from "#domain/placement/policy-selection.ts";
import type { Clock } from "#platform/clock.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";
import type { Random } from "#platform/random.ts";

/** Policies whose moves are counted; the one that has moved nothing for longest is forgotten. */
const POLICIES_COUNTED_MAX = 1_000;
const MINUTE_MS = 60_000;
/** To one pool: an agent that starts a process for each session keeps up with so many. */
const POOL_MOVES_PER_SECOND = 5;
const POOL_MOVES_MAX = 20;
/** From half to one and a half of it, so that those who were told to wait do not come back together. */
const RETRY_MS = 2_000;
/** The same of a break that was seen once: long enough for a second reading to be another. */
const CONFIRM_MS = 2 * BREAK_CONFIRMED_MS_MIN;

interface Bucket {
  readonly moves: number;
  readonly atMs: number;
}

export interface MoveRefusal {
  readonly reason: string;
  /** Where the move is urgent; else the next renewal is soon enough. */
  readonly retryAfterMs?: number | undefined;
}

export interface MoveLimitPorts {
  readonly clock: Clock;
  readonly random: Pick<Random, "ratio">;
}

export class MoveLimits {
  readonly #ports: MoveLimitPorts;
  readonly #buckets = new BoundedMap<string, Bucket>({ entriesMax: POLICIES_COUNTED_MAX });
  readonly #pools = new MoveBudget({ movesPerSecond: POOL_MOVES_PER_SECOND, movesMax: POOL_MOVES_MAX });

  constructor(ports: MoveLimitPorts) {
    this.#ports = ports;
  }

  /** Why a move that cannot wait has to; undefined where it may go on, and then it is counted. */
  takeUrgent(pool: string): MoveRefusal | undefined {
    if (this.#pools.take(pool, "break", this.#ports.clock.monotonicMs())) return undefined;
    const reason = `${POOL_MOVES_MAX} sessions have just moved there, so it waits its turn`;
    return { reason, retryAfterMs: this.#jittered(RETRY_MS) };
  }

  /** Of a break that another reading has to show first. */
  toConfirm(reason: string): MoveRefusal {
    return { reason, retryAfterMs: this.#jittered(CONFIRM_MS) };
  }

  /** The same of a move that can wait: of its policy's moves as well, and while half of the pool's are left. */
  take({ name = "", stability }: AppliedPolicy, pool: string): MoveRefusal | undefined {
    const most = stability?.movesPerMinuteMax;
    if (most !== undefined && this.#left(name, most) < 1) return { reason: `${most} moves a minute are made already` };
    if (!this.#pools.take(pool, "sustained-gain", this.#ports.clock.monotonicMs())) {
      return { reason: "so many sessions have just moved there that the rest is for breaks" };
    }
    if (most !== undefined) {
      this.#buckets.set(name, { moves: this.#left(name, most) - 1, atMs: this.#ports.clock.monotonicMs() });
    }
    return undefined;
  }

  #jittered(ms: number): number {
    return ms * (0.5 + this.#ports.random.ratio());
  }

  /** As many at once as in a minute, refilled steadily. */
  #left(name: string, movesPerMinuteMax: number): number {
    const bucket = this.#buckets.peek(name);
    if (bucket === undefined) return movesPerMinuteMax;
    const refilled = ((this.#ports.clock.monotonicMs() - bucket.atMs) / MINUTE_MS) * movesPerMinuteMax;
    return Math.min(movesPerMinuteMax, bucket.moves + refilled);
  }
}
