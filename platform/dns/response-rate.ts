/** Bounds what a network is sent: whoever writes a victim's address into queries gets little of it sent there. */
import type { Clock } from "../clock.ts";
import { BoundedMap } from "../concurrency/bounded-map.ts";
import type { DnsTransport } from "./events.ts";
import { octetsOf } from "./ip-octets.ts";

/** A large resolver's share of one zone; 500 answers are some 100 KB. */
export const RESPONSES_PER_SECOND_MAX = 500;
/** After a pause. */
export const RESPONSES_BURST_MAX = 1_000;
/** Some hundred bytes each; who is forgotten begins anew. */
const NETWORKS_MAX = 20_000;
/** Each network is some organisation's: /24, and /56 (RFC 6177). */
const PREFIX_OCTETS = { 4: 3, 16: 7 } as const;

/** `shorten`: the truncated answer, which sends a real resolver to TCP, and is no longer than the query. */
export type RateVerdict = "answer" | "shorten" | "drop";

interface Bucket {
  tokens: number;
  atMs: number;
  isNextShortened: boolean;
}

/** Each transport its own: an address by UDP may be a lie, and must take nothing from who shows by TCP that it is there. */
export type ResponseRates = Readonly<Record<DnsTransport, ResponseRate>>;

export function responseRates(clock: Pick<Clock, "monotonicMs">): ResponseRates {
  return { udp: new ResponseRate(clock), tcp: new ResponseRate(clock) };
}

class ResponseRate {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #buckets = new BoundedMap<string, Bucket>({ entriesMax: NETWORKS_MAX });

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  take(address: string): RateVerdict {
    const bucket = this.#bucketOf(networkKey(address));
    const nowMs = this.#clock.monotonicMs();
    const gained = ((nowMs - bucket.atMs) / 1000) * RESPONSES_PER_SECOND_MAX;
    bucket.tokens = Math.min(RESPONSES_BURST_MAX, bucket.tokens + gained);
    bucket.atMs = nowMs;
    if (bucket.tokens >= 1) {
      bucket.tokens -= 1;
      return "answer";
    }
    bucket.isNextShortened = !bucket.isNextShortened;
    return bucket.isNextShortened ? "shorten" : "drop";
  }

  #bucketOf(key: string): Bucket {
    const known = this.#buckets.get(key);
    if (known !== undefined) return known;
    const fresh = { tokens: RESPONSES_BURST_MAX, atMs: this.#clock.monotonicMs(), isNextShortened: false };
    this.#buckets.set(key, fresh);
    return fresh;
  }
}

function networkKey(address: string): string {
  const octets = octetsOf(address);
  return octets?.toString("latin1", 0, PREFIX_OCTETS[octets.length === 4 ? 4 : 16]) ?? "";
}
