/** The prices that decisions go by, with the version that their records name; none once they are too old. */
import { assert } from "#domain/assert.ts";
import type { Clock } from "#platform/clock.ts";

/** Some turns that fail are bridged by the last prices; older ones are of another demand, and none is the safe answer. */
export const PRICES_AGE_MS_MAX = 60_000;

export interface Prices {
  /** 0 where there are none; else it grows, also over restarts. */
  readonly version: number;
  /** Milliseconds; a pool that is not named has none. */
  readonly byPool: ReadonlyMap<string, number>;
}

export interface PriceSource {
  current(): Prices;
}

export const NO_PRICES: Prices = { version: 0, byPool: new Map() };

/** Wherever prices are not wanted. */
export const WITHOUT_PRICES: PriceSource = { current: () => NO_PRICES };

export class PublishedPrices implements PriceSource {
  readonly #clock: Clock;
  #prices = NO_PRICES;
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

  /** Pools of which there is no price are left out. The version is the second in which they became so, or the next one. */
  publish(byPool: ReadonlyMap<string, number>): Prices {
    for (const [pool, priceMs] of byPool) assert(priceMs > 0, `a price is above 0, got ${priceMs} for ${pool}`);
    this.#publishedAtMs = this.#clock.monotonicMs();
    if (byPool.size === 0) this.#prices = NO_PRICES;
    else if (!isSame(byPool, this.#prices.byPool)) {
      this.#version = Math.max(this.#version + 1, Math.floor(this.#clock.nowMs() / 1000));
      this.#prices = { version: this.#version, byPool };
    }
    return this.#prices;
  }
}

function isSame(a: Prices["byPool"], b: Prices["byPool"]): boolean {
  return a.size === b.size && [...a].every(([pool, priceMs]) => b.get(pool) === priceMs);
}
