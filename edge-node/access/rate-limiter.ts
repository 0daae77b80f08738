/** The buckets of a site's clients, limited in number: who has not asked for longest is forgotten, and begins with a whole burst. */
import { type Bucket, type RateLimit, takeToken } from "./rate-limit.ts";

/** Of one site in one process, some hundred bytes each. */
export const RATED_CLIENTS_MAX = 65_536;

export class RateLimiter {
  readonly limit: RateLimit;
  readonly #halfMax: number;
  /** Two halves in place of an order by use: a hit that re-ordered a map would cost three times as much. */
  #recent = new Map<string, Bucket>();
  #older = new Map<string, Bucket>();

  constructor(limit: RateLimit, clientsMax: number = RATED_CLIENTS_MAX) {
    this.limit = limit;
    this.#halfMax = Math.max(1, Math.floor(clientsMax / 2));
  }

  get clients(): number {
    return this.#recent.size + this.#older.size;
  }

  /** `client` as `clientOf` writes it, `nowMs` monotonic. 0: go on; else milliseconds until a request may be made. */
  take(client: string, nowMs: number): number {
    return takeToken(this.#recent.get(client) ?? this.#bring(client), this.limit, nowMs);
  }

  #bring(client: string): Bucket {
    const bucket = this.#older.get(client) ?? { fullAtMs: Number.NEGATIVE_INFINITY };
    this.#older.delete(client);
    if (this.#recent.size >= this.#halfMax) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(client, bucket);
    return bucket;
  }
}
