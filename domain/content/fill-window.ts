/** Takes what pools hold towards what is planned, so much at a time as their links carry; what is held goes last. Pure. */

/** 100 Mbit/s, where a pool says nothing: what the plan moves leaves its link to its users. */
export const FILL_BYTES_PER_SECOND_DEFAULT = 12_500_000;
/** What is under way to a pool at once, in seconds of its budget: reports that it has come take some of them. */
export const FILL_BURST_SECONDS = 60;

export interface Fill {
  readonly pool: string;
  readonly sizeBytes: number;
  /** What planned fills may take of the pool's link. */
  readonly bytesPerSecond: number;
}

interface Bucket {
  /** Given, and not through yet at the pool's budget. */
  readonly underWayBytes: number;
  readonly bytesPerSecond: number;
  readonly atMs: number;
}

/**
 * A token bucket for each pool, counted as what is under way: never more than the budget of a minute, but for one fill
 * that is larger, which goes when nothing else does.
 */
export class FillWindow {
  readonly #buckets = new Map<string, Bucket>();

  /** Whether a fill may begin now; it is counted if so. */
  admit({ pool, sizeBytes, bytesPerSecond }: Fill, nowMs: number): boolean {
    const underWayBytes = this.underWayBytes(pool, nowMs);
    const isAdmitted = underWayBytes === 0 || underWayBytes + sizeBytes <= bytesPerSecond * FILL_BURST_SECONDS;
    if (isAdmitted) this.#buckets.set(pool, { underWayBytes: underWayBytes + sizeBytes, bytesPerSecond, atMs: nowMs });
    return isAdmitted;
  }

  /** Towards a pool, by its budget. */
  underWayBytes(pool: string, nowMs: number): number {
    const bucket = this.#buckets.get(pool);
    if (bucket === undefined) return 0;
    const { underWayBytes, bytesPerSecond, atMs } = bucket;
    return Math.max(0, underWayBytes - (Math.max(0, nowMs - atMs) * bytesPerSecond) / 1000);
  }

  /** Pools to which something is under way. */
  listUnderWay(nowMs: number): ReadonlyMap<string, number> {
    const pools = [...this.#buckets.keys()].map((pool) => [pool, this.underWayBytes(pool, nowMs)] as const);
    return new Map(pools.filter(([, bytes]) => bytes > 0));
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
