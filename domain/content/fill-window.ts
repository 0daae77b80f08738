/** Takes what pools hold towards what is planned, so much at a time as their links carry; what is held goes last. Pure. */

export interface LinkBudget {
  readonly bytesPerSecond: number;
  /** Fetched at once after a time without fills. */
  readonly burstBytes: number;
}

interface Bucket {
  creditBytes: number;
  atMs: number;
}

/** A token bucket for each pool. A fill may overdraw it, so that none is too large; the next waits for longer. */
export class FillWindow {
  readonly #budget: LinkBudget;
  readonly #buckets = new Map<string, Bucket>();

  constructor(budget: LinkBudget) {
    this.#budget = budget;
  }

  /** Whether a fill of so many bytes may begin now; it is counted if so. */
  admit(pool: string, sizeBytes: number, nowMs: number): boolean {
    const { bytesPerSecond, burstBytes } = this.#budget;
    const { creditBytes, atMs } = this.#buckets.get(pool) ?? { creditBytes: burstBytes, atMs: nowMs };
    const earned = (Math.max(0, nowMs - atMs) * bytesPerSecond) / 1000;
    const credit = Math.min(burstBytes, creditBytes + earned);
    const isAdmitted = credit > 0;
    this.#buckets.set(pool, { creditBytes: isAdmitted ? credit - sizeBytes : credit, atMs: nowMs });
    return isAdmitted;
  }

  /** Forgets all other pools. */
  retain(pools: { has(pool: string): boolean }): void {
    for (const pool of [...this.#buckets.keys()]) if (!pools.has(pool)) this.#buckets.delete(pool);
  }
}

export interface Move {
  /** Pools that it is assigned to. */
  readonly held: ReadonlySet<string>;
  readonly wanted: ReadonlySet<string>;
  /** Where it may not be any more, whatever else is missing. */
  readonly isForbidden: (pool: string) => boolean;
  /** Whether a pool serves it already. */
  readonly isServed: (pool: string) => boolean;
}

/** The pools it is to be assigned to next: nothing is dropped before all that is to take its place serves. */
export function nextHolders(
  { held, wanted, isForbidden, isServed }: Move,
  admit: (pool: string) => boolean,
): ReadonlySet<string> {
  const filled = [...wanted].filter((pool) => held.has(pool) || admit(pool));
  const isWhole = [...wanted].every(isServed);
  const kept = isWhole ? [] : [...held].filter((pool) => !isForbidden(pool));
  return new Set([...filled, ...kept].sort());
}
