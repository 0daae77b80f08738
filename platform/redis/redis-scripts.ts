/** A connection to one Redis that runs scripts: each within a deadline, none queued while it is down, dialled again with jitter. */
import { createHash } from "node:crypto";
import { Redis } from "ioredis";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "../clock.ts";
import { backoffMs, type RetryPolicy } from "../concurrency/retry.ts";
import type { Random } from "../random.ts";
import { redisReasonOf } from "./redis-reasons.ts";

/** Scripts run in microseconds and stand in the way of a person who waits: what takes longer is not there. */
export const REDIS_CALL_MS_MAX = 500;
/** What was asked and gives no byte for so long is half open. */
export const REDIS_SILENCE_MS_MAX = 2_000;
/** A kilobyte each. */
export const REDIS_CALLS_MAX = 10_000;
const CONNECT_MS_MAX = 2_000;
/** After a fault every replica dials: the wait is uniform below a ceiling that grows to two seconds. */
const RECONNECT: RetryPolicy = { attemptsMax: Number.POSITIVE_INFINITY, baseMs: 100, capMs: 2_000 };

export interface RedisEvents {
  redisUp(): void;
  /** Once for each time that it is lost, and once where it is not there at the start. */
  redisDown(reason: Failure): void;
}

export interface RedisTarget {
  /** `redis://` or, over TLS, `rediss://`. */
  readonly url: string;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** Of who signed its certificate, where that is no public authority. */
  readonly authorityPem?: string | undefined;
}

export interface RedisTools {
  readonly clock: Pick<Clock, "timer">;
  readonly random: Random;
  readonly events: RedisEvents;
}

export interface RedisScript {
  readonly lua: string;
  readonly sha: string;
}

export function redisScript(lua: string): RedisScript {
  return { lua, sha: createHash("sha1").update(lua).digest("hex") };
}

export class RedisScripts implements Disposable {
  readonly #redis: Redis;
  readonly #host: string;
  readonly #tools: RedisTools;
  #inFlight = 0;
  #lastError: unknown;
  #reason = "it has not answered yet";
  #isUp: boolean | undefined;

  constructor(target: RedisTarget, tools: RedisTools) {
    this.#tools = tools;
    this.#host = new URL(target.url).host;
    this.#redis = new Redis(target.url, {
      ...(target.user === undefined ? {} : { username: target.user }),
      ...(target.password === undefined ? {} : { password: target.password }),
      ...(target.authorityPem === undefined ? {} : { tls: { ca: target.authorityPem } }),
      protocol: 2,
      lazyConnect: true,
      connectTimeout: CONNECT_MS_MAX,
      socketTimeout: REDIS_SILENCE_MS_MAX,
      // What is not answered may have run: only who asked knows what asking again means.
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      // Calls go out as they come, many before the first answer. Gathered into batches (`enableAutoPipelining`) they cost a third
      // more of this process, and each batch waits for the one before (`bench:placement --models reservations`).
      enableAutoPipelining: false,
      retryStrategy: (times) => Math.ceil(backoffMs(RECONNECT, times, tools.random)) + 1,
    });
    this.#redis.on("ready", () => this.#up());
    this.#redis.on("error", (error) => {
      this.#lastError = error;
    });
    this.#redis.on("close", () => this.#down());
    // That it fails is told by `close`, and it is dialled again.
    this.#redis.connect().catch(() => undefined);
  }

  get isUp(): boolean {
    return this.#isUp === true;
  }

  /** Why it is not up: of the last time that it was dialled. */
  get reason(): string | undefined {
    return this.isUp ? undefined : this.#reason;
  }

  /** `host:port`. */
  get host(): string {
    return this.#host;
  }

  /** Throws a retryable `unavailable`, after which the script may have run or still run, or `overloaded`, after which it does not. */
  async run(script: RedisScript, keys: readonly string[], words: readonly (string | number)[]): Promise<unknown> {
    if (this.#inFlight >= REDIS_CALLS_MAX) {
      const message = `${REDIS_CALLS_MAX} calls to Redis at ${this.#host} are in work, which is the limit: try again`;
      throw new Failure("overloaded", message, { retryable: true });
    }
    if (!this.isUp) throw this.#unavailable(`cannot be used: ${this.#reason}`);
    this.#inFlight += 1;
    try {
      return await this.#withinDeadline(this.#runLoaded(script, keys, words));
    } finally {
      this.#inFlight -= 1;
    }
  }

  [Symbol.dispose](): void {
    this.#redis.removeAllListeners();
    this.#redis.on("error", () => undefined);
    this.#redis.disconnect();
  }

  async #runLoaded(script: RedisScript, keys: readonly string[], words: readonly (string | number)[]) {
    try {
      return await this.#redis.evalsha(script.sha, keys.length, ...keys, ...words);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith("NOSCRIPT")) throw error;
      // Redis was started anew, or told to forget its scripts.
      await this.#redis.script("LOAD", script.lua);
      return await this.#redis.evalsha(script.sha, keys.length, ...keys, ...words);
    }
  }

  #withinDeadline(answer: Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const timer = this.#tools.clock.timer(REDIS_CALL_MS_MAX, () =>
        reject(this.#unavailable(`gave no answer within ${REDIS_CALL_MS_MAX} ms`)),
      );
      void answer
        .then(resolve, (error) => reject(this.#unavailable(`cannot be used: ${redisReasonOf(error)}`, error)))
        .finally(() => timer[Symbol.dispose]());
    });
  }

  #unavailable(reason: string, cause?: unknown): Failure {
    return new Failure("unavailable", `Redis at ${this.#host} ${reason}: try again`, { retryable: true, cause });
  }

  #up(): void {
    this.#isUp = true;
    this.#lastError = undefined;
    this.#tools.events.redisUp();
  }

  #down(): void {
    this.#reason = redisReasonOf(this.#lastError);
    const failure = this.#unavailable(`cannot be used: ${this.#reason}`, this.#lastError);
    this.#lastError = undefined;
    if (this.#isUp === false) return;
    this.#isUp = false;
    this.#tools.events.redisDown(failure);
  }
}
