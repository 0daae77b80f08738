/** The prices of all replicas: one of them solves, what it publishes in Redis is what every one goes by, itself too. */
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { assert } from "#domain/assert.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { type RedisScripts, redisScript } from "#platform/redis/redis-scripts.ts";
import { packExpected, packPrices, parseExpected, parsePrices } from "./price-codec.ts";
import {
  addParts,
  NO_PRICES,
  PRICE_MODES,
  PRICES_AGE_MS_MAX,
  type PriceBoard,
  type Priced,
  type PriceMode,
  type Prices,
} from "./price-source.ts";

/** Two of the longest turns: who has not published for so long does not hold the lease any more. */
export const TERM_SILENCE_MS_MAX = 20_000;
/** A record of a decision has 32 bits for it: seconds, until 2106. */
const VERSION_MAX = 2 ** 32 - 1;
/** What is written from farther ahead is no time of this Redis. */
const AHEAD_MS_MAX = 60_000;

/**
 * A term is the time at which a replica first published with its lease, or more than the last: an earlier one is
 * refused while a later one publishes. The same prices keep their version, others have the second in which they came to
 * be, or the next whole number. What stands there and is none of ours counts as nothing.
 */
const PUBLISH = redisScript(`
local time = redis.call('TIME')
local seconds = tonumber(time[1])
local now = seconds * 1000 + math.floor(time[2] / 1000)
local found = redis.call('HMGET', KEYS[1], 'term', 'version', 'solved', 'prices', 'holder')
local function number(text, most)
  local value = tonumber(text or '') or 0
  if value ~= value or value < 0 or value > most then return 0 end
  return math.floor(value)
end
local stored = number(found[1], now + 86400000)
local version = number(found[2], ${VERSION_MAX - 1})
local term = tonumber(ARGV[1])
if term > 0 and term < stored then
  if now - number(found[3], now) <= ${TERM_SILENCE_MS_MAX} then return { 0, 0, found[5] or '', '' } end
  term = 0
end
if term == 0 then term = math.max(stored + 1, now) end
local known = tonumber(ARGV[2])
if found[4] ~= ARGV[4] or version < known or version == 0 then version = math.max(version + 1, known + 1, seconds) end
redis.call('HSET', KEYS[1], 'term', string.format('%.0f', term), 'version', string.format('%.0f', version),
  'solved', string.format('%.0f', now), 'holder', ARGV[3], 'mode', ARGV[5], 'prices', ARGV[4], 'expected', ARGV[6])
redis.call('PEXPIRE', KEYS[1], ${PRICES_AGE_MS_MAX})
return { term, version, ARGV[3], string.format('%.0f', now) }`);

const Published = Type.Tuple([Type.Integer(), Type.Integer({ maximum: VERSION_MAX }), Type.String(), Type.String()]);

/** The prices themselves only where they are of another version than is known; what is expected where it was solved since. */
const READ = redisScript(`
local time = redis.call('TIME')
local found = redis.call('HMGET', KEYS[1], 'version', 'solved', 'mode', 'prices', 'expected')
for at = 1, 5 do found[at] = found[at] or '' end
if found[1] == ARGV[1] then
  found[4] = ''
  if found[2] == ARGV[2] then found[5] = '' end
end
return { time[1] * 1000 + math.floor(time[2] / 1000), redis.call('EXISTS', KEYS[1]), unpack(found, 1, 5) }`);

const Found = Type.Tuple([
  Type.Integer(),
  Type.Integer(),
  Type.String(),
  Type.String(),
  Type.String(),
  Type.String(),
  Type.String(),
]);

export interface SharedPricesEvents {
  /** What stands there is of another version, or nobody's of ours; what is known stays until it is too old. Once for each. */
  pricesUnreadable(fault: string): void;
  /** Redis does not answer as it should; what is known stays until it is too old. Once until it does. */
  pricesNotRead(failure: Failure): void;
}

export interface SharedPricesPorts {
  readonly redis: Pick<RedisScripts, "run">;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly events: SharedPricesEvents;
  readonly key: string;
  /** Name of this replica. */
  readonly holder: string;
}

interface Solve {
  readonly mode: PriceMode;
  /** By the clock of Redis, as it tells it. */
  readonly solved: string;
  readonly ageMs: number;
}

export class SharedPrices implements PriceBoard {
  readonly #ports: SharedPricesPorts;
  /** With their version also where no pool has a price. */
  #standing: Pick<Prices, "version" | "byPool"> = NO_PRICES;
  #expectedByPool = new Map<string, number>();
  #current = NO_PRICES;
  /** As Redis tells it: what is expected is of then. */
  #solved = "";
  #mode: PriceMode = "off-inactive";
  #solvedAtMs = Number.NEGATIVE_INFINITY;
  /** Of this replica's lease; 0 until it publishes. */
  #term = 0;
  #fault = "";
  #isUnread = false;

  constructor(ports: SharedPricesPorts) {
    this.#ports = ports;
  }

  current(): Prices {
    return this.isStale ? NO_PRICES : this.#current;
  }

  get isStale(): boolean {
    return this.#ports.clock.monotonicMs() - this.#solvedAtMs > PRICES_AGE_MS_MAX;
  }

  get followedMode(): PriceMode | undefined {
    return this.isStale ? undefined : this.#mode;
  }

  begin(): void {
    this.#term = 0;
  }

  /** Throws a retryable `unavailable`, or `resource-conflict` where a replica publishes that had the lease later. */
  async publish({ byPool, expectedByPool }: Priced, mode: PriceMode): Promise<Prices> {
    const { redis, key, holder } = this.#ports;
    for (const [pool, priceMs] of byPool) assert(priceMs > 0, `a price is above 0, got ${priceMs} for ${pool}`);
    const words = [this.#term, this.#knownVersion, holder, packPrices(byPool), mode, packExpected(expectedByPool)];
    const [term, version, by, solved] = Value.Parse(Published, await redis.run(PUBLISH, [key], words));
    if (term === 0) {
      const message = `prices of ${holder} are not published: ${by} has had the lease since, and publishes its own`;
      throw new Failure("resource-conflict", message, { retryable: true });
    }
    this.#term = term;
    this.#take({ version, byPool, expectedByPool }, { mode, solved, ageMs: 0 });
    return this.current();
  }

  arrived(parts: ReadonlyMap<string, number>): void {
    if (!this.isStale) addParts(this.#expectedByPool, parts);
  }

  /** What is published by now; without Redis what is known stays until it is too old. */
  async refresh(): Promise<void> {
    const { redis, key, events } = this.#ports;
    try {
      this.#read(Value.Parse(Found, await redis.run(READ, [key], [this.#knownVersion, this.#knownSolved])));
      this.#isUnread = false;
    } catch (error) {
      if (!isFailure(error)) throw error;
      if (!this.#isUnread) events.pricesNotRead(error);
      this.#isUnread = true;
    }
  }

  /** 0 where nothing that counts is known: then any is newer. */
  get #knownVersion(): number {
    return this.isStale ? 0 : this.#standing.version;
  }

  get #knownSolved(): string {
    return this.isStale ? "" : this.#solved;
  }

  #read([nowMs, exists, version, solved, mode, prices, expected]: Static<typeof Found>): void {
    if (exists === 0) return;
    const found = { version: readNumber(version, VERSION_MAX), solvedMs: readNumber(solved, nowMs + AHEAD_MS_MAX) };
    const known = PRICE_MODES.find((name) => name === mode);
    if (found.version === undefined || found.solvedMs === undefined || known === undefined) {
      this.#refuse(`version ${version}, solved ${solved}, mode ${mode}`);
      return;
    }
    const ageMs = Math.max(0, nowMs - found.solvedMs);
    if (found.version < this.#knownVersion || ageMs > PRICES_AGE_MS_MAX) return;
    const solve: Solve = { mode: known, solved, ageMs };
    const isKnown = found.version === this.#knownVersion;
    if (isKnown && solved === this.#knownSolved) {
      this.#note(solve);
      return;
    }
    const byPool = isKnown ? this.#standing.byPool : parsePrices(prices);
    const expectedByPool = parseExpected(expected);
    if (byPool === undefined) this.#refuse(`version ${version}: its prices are none`);
    else if (expectedByPool === undefined) this.#refuse(`version ${version}: what it expects is none`);
    else this.#take({ version: found.version, byPool, expectedByPool }, solve);
  }

  #take(prices: Prices, solve: Solve): void {
    if (prices.version !== this.#knownVersion) this.#standing = prices;
    this.#note(solve);
    this.#expectedByPool = new Map(prices.expectedByPool);
    const { version, byPool } = this.#standing;
    this.#current = { version: byPool.size === 0 ? 0 : version, byPool, expectedByPool: this.#expectedByPool };
  }

  #note({ mode, solved, ageMs }: Solve): void {
    this.#mode = mode;
    this.#solved = solved;
    this.#solvedAtMs = Math.max(this.#solvedAtMs, this.#ports.clock.monotonicMs() - ageMs);
    this.#fault = "";
  }

  #refuse(fault: string): void {
    if (fault !== this.#fault) this.#ports.events.pricesUnreadable(fault);
    this.#fault = fault;
  }
}

function readNumber(text: string, most: number): number | undefined {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : 0;
  return value > 0 && value <= most ? value : undefined;
}
