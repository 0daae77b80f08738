/** Which peers are not asked for a while: those that failed, for longer each time, and those that declined. */
import type { Clock } from "#platform/clock.ts";
import { backoffMs } from "#platform/concurrency/retry.ts";
import type { Random } from "#platform/random.ts";

/** A restart takes a second; a machine that is gone costs one request in half a minute. */
const BACKOFF = { attemptsMax: 1, baseMs: 1000, capMs: 30_000 };
const DOUBLINGS_MAX = 10;
/** A purge reaches every edge in a second; one that is cut off stays behind. */
const DECLINED_MS = 500;
/** Nothing that it says is used meanwhile; a disk or a memory that is bad is mended by then, or seen. */
const DISTRUSTED_MS = 600_000;

interface Trouble {
  readonly failures: number;
  /** By the monotonic clock. */
  readonly untilMs: number;
  /** One request tries it; the others pass it by until that has its answer. */
  readonly isTried: boolean;
  readonly isDistrusted?: boolean;
}

export class PeerHealth {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #troubles = new Map<string, Trouble>();

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Whether it may be asked now; whoever is told so says how it went, or that it was not asked. */
  mayAsk(name: string): boolean {
    const trouble = this.#troubles.get(name);
    if (trouble === undefined) return true;
    if (trouble.isTried || this.#clock.monotonicMs() < trouble.untilMs) return false;
    this.#troubles.set(name, { ...trouble, isTried: true });
    return true;
  }

  /** Whether it may not be asked now; unlike `mayAsk` this promises nothing. */
  isPassedBy(name: string): boolean {
    const trouble = this.#troubles.get(name);
    return trouble !== undefined && (trouble.isTried || this.#clock.monotonicMs() < trouble.untilMs);
  }

  answered(name: string): void {
    const trouble = this.#troubles.get(name);
    // What was asked before it was found out says nothing.
    if (trouble?.isDistrusted !== true || trouble.isTried) this.#troubles.delete(name);
  }

  /** What it gave was wrong. */
  distrust(name: string): void {
    const untilMs = this.#clock.monotonicMs() + DISTRUSTED_MS;
    this.#troubles.set(name, { failures: DOUBLINGS_MAX, untilMs, isTried: false, isDistrusted: true });
  }

  /** It has said why not: that passes. */
  declined(name: string): void {
    this.#troubles.set(name, { failures: 0, untilMs: this.#clock.monotonicMs() + DECLINED_MS, isTried: false });
  }

  /** Requests that fail together count once. */
  failed(name: string): void {
    const nowMs = this.#clock.monotonicMs();
    const before = this.#troubles.get(name);
    if (before !== undefined && !before.isTried && nowMs < before.untilMs) return;
    const failures = Math.min(DOUBLINGS_MAX, (before?.failures ?? 0) + 1);
    // Half of it is certain: with full jitter alone a dead peer could be tried again at once.
    const waitMs = backoffMs(BACKOFF, failures, this.#random);
    const leastMs = Math.min(BACKOFF.capMs, BACKOFF.baseMs * 2 ** (failures - 1)) / 2;
    this.#troubles.set(name, { failures, untilMs: nowMs + leastMs + waitMs / 2, isTried: false });
  }

  /** What `mayAsk` allowed did not come to it: what is known of it stays, and another request tries it. */
  notAsked(name: string): void {
    const trouble = this.#troubles.get(name);
    if (trouble?.isTried !== true) return;
    this.#troubles.set(name, { ...trouble, untilMs: this.#clock.monotonicMs() + BACKOFF.baseMs, isTried: false });
  }

  /** Members that have left are forgotten. */
  keep(names: ReadonlySet<string>): void {
    for (const name of [...this.#troubles.keys()]) if (!names.has(name)) this.#troubles.delete(name);
  }
}
