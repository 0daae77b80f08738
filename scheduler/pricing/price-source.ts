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

export interface PriceSource {
  current(): Prices;
}

export const NO_PRICES: Prices = { version: 0, byPool: new Map(), expectedByPool: new Map() };

/** Wherever prices are not wanted. */
export const WITHOUT_PRICES: PriceSource = { current: () => NO_PRICES };

export class PublishedPrices implements PriceSource {
  readonly #clock: Clock;
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

  /** Pools of which there is no price, or nothing is expected, are left out. The version is the second in which prices became so, or the next one. */
  publish({ byPool, expectedByPool }: Pick<Prices, "byPool" | "expectedByPool">): Prices {
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

  /** Sessions that came since, by pool: they count from now on, and until the next turn has them. */
  arrived(parts: ReadonlyMap<string, number>): void {
    if (this.isStale) return;
    for (const [pool, sessions] of parts) {
      this.#expectedByPool.set(pool, (this.#expectedByPool.get(pool) ?? 0) + sessions);
    }
  }
}

function isSame(a: Prices["byPool"], b: Prices["byPool"]): boolean {
  return a.size === b.size && [...a].every(([pool, priceMs]) => b.get(pool) === priceMs);
}
