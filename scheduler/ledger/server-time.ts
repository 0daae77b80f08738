/** The time of the ledger's server, as a bound from below: this machine's clock may be wrong, only how fast it runs is relied on. */

/** Clocks part by 0.1 ms a second at the worst: an older reading is given up for a newer one, though that bounds less well. */
const READING_AGE_MS_MAX = 30_000;

export class ServerTime {
  #serverMs = 0;
  #readAtMs = Number.NEGATIVE_INFINITY;

  /** What an answer said that arrived at this monotonic time: by then it was that late at the least. */
  learn(serverMs: number, arrivedAtMs: number): void {
    const known = this.earliestAt(arrivedAtMs);
    if (known !== undefined && known > serverMs) return;
    this.#serverMs = serverMs;
    this.#readAtMs = arrivedAtMs;
  }

  /** No later than what the server's clock shows; undefined until it has said so, and when that was long ago. */
  earliestAt(monotonicMs: number): number | undefined {
    const ageMs = monotonicMs - this.#readAtMs;
    return ageMs > READING_AGE_MS_MAX ? undefined : Math.floor(this.#serverMs + ageMs);
  }
}
