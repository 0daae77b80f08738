/** Percentiles of frame times, over a bounded window. Pure. */

/** A second at the highest frame rate. */
const SAMPLES_MAX = 144;

/** Nearest rank; 0 of nothing. */
export function percentile(samples: readonly number[], ratio: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * ratio) - 1)] ?? 0;
}

/** Collects until it is taken; beyond its limit the newest replace the oldest. */
export class FrameTimes {
  readonly #samples: number[] = [];
  #count = 0;

  add(ms: number): void {
    this.#samples[this.#count % SAMPLES_MAX] = ms;
    this.#count += 1;
  }

  /** Empties it. */
  take(): { readonly count: number; readonly p95: number } {
    const taken = { count: this.#count, p95: percentile(this.#samples, 0.95) };
    this.#samples.length = 0;
    this.#count = 0;
    return taken;
  }
}
