/**
 * What the slow loop tells decisions of each pool: its price, with the version that their records name, and the sessions
 * that are expected to want it; neither once they are too old.
 */
import { assert } from "#domain/assert.ts";
import type { Clock } from "#platform/clock.ts";

/** Some turns that fail are bridged by the last prices; older ones are of another demand, and none is the safe answer. */
export const PRICES_AGE_MS_MAX = 60_000;

export interface Prices {
  /** 0 where there are none; else it grows, also over restarts. */
  readonly version: number;
  /** Milliseconds; a pool that is not named has none. */
  readonly byPool: ReadonlyMap<string, number>;
  /** Sessions expected; of a pool that is not named none. Also where nothing has a price. */
  readonly expectedByPool: ReadonlyMap<string, number>;
}

/** What a turn of the slow loop makes. */
export type Priced = Pick<Prices, "byPool" | "expectedByPool">;

/** Why prices are off: nothing is contended, the rule without them does better, or nobody who may solves them. */
export const PRICE_MODES = ["applied", "damped", "off-uncontended", "off-losing", "off-inactive"] as const;
export type PriceMode = (typeof PRICE_MODES)[number];

export interface PriceSource {
  current(): Prices;
}

/** Where prices are published by who solves them. */
export interface PriceBoard extends PriceSource {
  /** Whether they are too old to go by, or were never there. */
  readonly isStale: boolean;
  /** How those of another replica were made that stand there now; undefined where none do. */
  readonly followedMode: PriceMode | undefined;
  /** From now on this replica is the one that publishes. */
  begin(): void;
  /** Pools of which there is no price, or nothing is expected, are left out. What it answers is what to go by; it throws where others could not be told. */
  publish(priced: Priced, mode: PriceMode): Prices | Promise<Prices>;
  /** Sessions that came since, by pool: they count from now on, and until the next turn has them. */
  arrived(parts: ReadonlyMap<string, number>): void;
}

export const NO_PRICES: Prices = { version: 0, byPool: new Map(), expectedByPool: new Map() };

/** Wherever prices are not wanted. */
export const WITHOUT_PRICES: PriceSource = { current: () => NO_PRICES };

/** Prices that this replica alone goes by. */
export class PublishedPrices implements PriceBoard {
  readonly #clock: Clock;
  readonly followedMode = undefined;
  #prices = NO_PRICES;
  #expectedByPool = new Map<string, number>();
  #version = 0;
  #publishedAtMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  current(): Prices {
    return this.isStale ? NO_PRICES : this.#prices;
  }

  get isStale(): boolean {
    return this.#clock.monotonicMs() - this.#publishedAtMs > PRICES_AGE_MS_MAX;
  }

  begin(): void {}

  /** The version is the second in which prices became so, or the next one. */
  publish({ byPool, expectedByPool }: Priced): Prices {
    for (const [pool, priceMs] of byPool) assert(priceMs > 0, `a price is above 0, got ${priceMs} for ${pool}`);
    this.#publishedAtMs = this.#clock.monotonicMs();
    this.#expectedByPool = new Map(expectedByPool);
    const isAsBefore = isSame(byPool, this.#prices.byPool);
    if (!isAsBefore && byPool.size > 0) {
      this.#version = Math.max(this.#version + 1, Math.floor(this.#clock.nowMs() / 1000));
    }
    const version = byPool.size === 0 ? 0 : this.#version;
    this.#prices = { version, byPool, expectedByPool: this.#expectedByPool };
    return this.#prices;
  }

  arrived(parts: ReadonlyMap<string, number>): void {
    if (!this.isStale) addParts(this.#expectedByPool, parts);
  }
}

export function addParts(expectedByPool: Map<string, number>, parts: ReadonlyMap<string, number>): void {
  for (const [pool, sessions] of parts) expectedByPool.set(pool, (expectedByPool.get(pool) ?? 0) + sessions);
}

function isSame(a: Prices["byPool"], b: Prices["byPool"]): boolean {
  return a.size === b.size && [...a].every(([pool, priceMs]) => b.get(pool) === priceMs);
}
