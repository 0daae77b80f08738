/** Takes purged responses out of the tiers behind the purge, some in each turn of the event loop. */
import { setImmediate } from "node:timers/promises";
import type { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { asFailure, type DiskTier } from "./disk-tier.ts";
import type { MemoryTier } from "./memory-tier.ts";
import type { PurgeMarks } from "./purging.ts";

/** A disk that refused is asked again after that; the purges are in effect meanwhile. */
const RETRY_MS = 5_000;

export interface SweepingOptions {
  readonly marks: PurgeMarks;
  readonly memory: MemoryTier;
  readonly disk: DiskTier | undefined;
  readonly clock: Clock;
  readonly onFailed: (failure: Failure) => void;
}

export class Sweeping implements AsyncDisposable {
  readonly #options: SweepingOptions;
  readonly #ended = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: SweepingOptions) {
    this.#options = options;
  }

  /** Resolves once nothing is left to sweep. */
  start(): Promise<void> {
    const running =
      this.#running ??
      this.#run().finally(() => {
        this.#running = undefined;
      });
    this.#running = running;
    return running;
  }

  /** All of it now: a pause, where marks would be too many otherwise. */
  finish(): void {
    for (let isMore = true; isMore; ) {
      const isMoreInMemory = this.#options.memory.sweepSome();
      const step = this.#swept();
      isMore = step !== "failed" && (isMoreInMemory || step.left > 0);
    }
    this.#note();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      const isMoreInMemory = this.#options.memory.sweepSome();
      const step = this.#swept();
      this.#note();
      if (step === "failed") await this.#pause();
      else if (!isMoreInMemory && step.left === 0) return await step.removed;
      else await step.removed;
      await setImmediate();
    }
  }

  #swept(): { readonly left: number; readonly removed: Promise<void> } | "failed" {
    const { disk, onFailed } = this.#options;
    if (disk === undefined) return { left: 0, removed: Promise.resolve() };
    try {
      return disk.sweepSome();
    } catch (error) {
      onFailed(asFailure(error, "the store's index"));
      return "failed";
    }
  }

  #note(): void {
    const { marks, memory, disk } = this.#options;
    marks.swept(Math.min(memory.sweptUpTo, marks.latest - (disk?.orders.length ?? 0)));
  }

  async #pause(): Promise<void> {
    await this.#options.clock.sleep(RETRY_MS, this.#ended.signal).catch(() => undefined);
  }
}
