/** All edges of the pool at once: each has its stream; what any of them can do is asked of one that is there. */
import type { Digest } from "#domain/content/release.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { BoundedQueue } from "#platform/concurrency/bounded-queue.ts";
import type { Random } from "#platform/random.ts";
import type { EndedLease } from "../session/session-host.ts";
import type { EdgeLink } from "./edge-link.ts";

/** Ends that no edge was there to hear: a record each, and a pool is not without edges for long. */
const ENDS_WAITING_MAX = 256;

export class EdgeLinks implements AsyncDisposable {
  readonly #links: readonly EdgeLink[];
  readonly #random: Random;
  readonly #ends = new BoundedQueue<EndedLease>(ENDS_WAITING_MAX);

  constructor(open: (onUp: () => void) => readonly EdgeLink[], random: Random) {
    this.#random = random;
    this.#links = open(() => this.#tellWaiting());
  }

  get upCount(): number {
    return this.#links.filter((link) => link.isUp).length;
  }

  sendStatus(): void {
    for (const link of this.#links) link.sendStatus();
  }

  /** To the edge whose request got the lease, else to any other, else to the first that comes back. */
  tellEnded(ended: EndedLease): void {
    const { session, attempt, edge } = ended.lease;
    const own = this.#links.filter((link) => link.edge === edge);
    const told = [...own, ...this.#links].some((link) => link.tellEnded({ session, attempt, reason: ended.reason }));
    if (!told) this.#ends.pushDroppingOldest(ended);
  }

  /** From any edge that is there, the others after it. Throws the last one's failure, `unavailable` where none is there. */
  async fetchBlob(digest: Digest, bytesMax: number): Promise<Uint8Array> {
    const up = this.#links.filter((link) => link.isUp);
    const first = up.length === 0 ? 0 : this.#random.integer(up.length);
    let last = new Failure("unavailable", `blob ${digest}: no edge of the pool is there`, { retryable: true });
    for (const link of [...up.slice(first), ...up.slice(0, first)]) {
      try {
        return await link.fetchBlob(digest, bytesMax);
      } catch (error) {
        if (!isFailure(error)) throw error;
        last = error;
      }
    }
    throw last;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#links.map((link) => link[Symbol.asyncDispose]()));
  }

  #tellWaiting(): void {
    for (let waiting = this.#ends.size; waiting > 0; waiting -= 1) {
      const ended = this.#ends.tryTake();
      if (ended !== undefined) this.tellEnded(ended);
    }
  }
}
