/** Proves what has served for a minute: the set of a revision and the releases that were active with it. */
import { type Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { Position, Trial } from "./trial.ts";

/** What a row breaks shows when it is applied, or when the first requests come. */
export const PROVEN_AFTER_MS = 60_000;
/** How late a change may be seen: what is proven has served for at most so much longer. */
const LOOK_MS = 5000;

/** Releases that have taken the place of others, with what they are now. */
export type UnprovenReleases = ReadonlyMap<string, number>;

export interface ProofOptions {
  readonly clock: Clock;
  readonly trial: Trial;
  readonly set: { readonly position: Position | undefined };
  readonly releases: { unproven(): UnprovenReleases; prove(releases: UnprovenReleases): void };
  readonly onProven: (revision: number) => void;
  readonly onFailed: (failure: Failure) => void;
}

interface Mark {
  readonly position: Position | undefined;
  readonly releases: UnprovenReleases;
  readonly sinceMs: number;
}

/** From where the edge serves on. */
export class Proof implements Disposable {
  readonly #options: ProofOptions;
  readonly #looking: Disposable;
  #mark: Mark | undefined;

  constructor(options: ProofOptions) {
    this.#options = options;
    this.#look();
    this.#looking = options.clock.every(LOOK_MS, () => this.#look());
  }

  /** The process ends in order. */
  close(): void {
    this.#trying(() => this.#options.trial.close());
  }

  [Symbol.dispose](): void {
    this.#looking[Symbol.dispose]();
  }

  #look(): void {
    const { trial, clock } = this.#options;
    if (!trial.isOpen) return;
    const nowMs = clock.monotonicMs();
    this.#mark ??= this.#now(nowMs);
    if (nowMs - this.#mark.sinceMs < PROVEN_AFTER_MS) return;
    const mark = this.#mark;
    this.#trying(() => this.#prove(mark, nowMs));
  }

  /** What changed since the mark was set is on trial from now on. */
  #prove({ position, releases }: Mark, nowMs: number): void {
    const { trial, set, releases: active, onProven } = this.#options;
    active.prove(releases);
    const now = set.position;
    const isSame = now?.epoch === position?.epoch && now?.revision === position?.revision;
    // A snapshot of the same revision has taken the place of the chain.
    const isThere = now !== undefined && position !== undefined && (isSame || now.chain === position.chain);
    const isAll = (isSame || position === undefined) && active.unproven().size === 0;
    if (isThere) trial.prove(isSame ? now : position, isAll);
    else if (isAll) trial.settle();
    this.#mark = isAll ? undefined : this.#now(nowMs);
    if (isThere) onProven(position.revision);
  }

  #now(sinceMs: number): Mark {
    const { set, releases } = this.#options;
    return { position: set.position, releases: releases.unproven(), sinceMs };
  }

  #trying(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!isFailure(error)) throw error;
      this.#options.onFailed(error);
    }
  }
}
