/** Decides whether a client's request is within its rate: a token bucket with burst, as one number (GCRA). Pure. */

export interface RateLimit {
  readonly requestsPerSecond: number;
  /** Requests at once after a pause. */
  readonly burst: number;
}

export interface Bucket {
  /** When it will be full again, monotonic milliseconds: how far that is ahead is what has been taken. */
  fullAtMs: number;
}

/** Sums of what a binary fraction cannot say are off by less. */
const ROUNDING_MS = 1e-6;

/** Milliseconds until the next request is within the limit; 0: this one is, and is taken. */
export function takeToken(bucket: Bucket, { requestsPerSecond, burst }: RateLimit, nowMs: number): number {
  const tokenMs = 1000 / requestsPerSecond;
  const fullAtMs = (bucket.fullAtMs > nowMs ? bucket.fullAtMs : nowMs) + tokenMs;
  const overMs = fullAtMs - nowMs - burst * tokenMs;
  if (overMs > ROUNDING_MS) return overMs;
  bucket.fullAtMs = fullAtMs;
  return 0;
}

export interface RefusalFields {
  readonly "retry-after": string;
  readonly ratelimit: string;
  readonly "ratelimit-policy": string;
}

/** RFC 9110 section 10.2.3, and draft-ietf-httpapi-ratelimit-headers: quota `q` a window `w` of seconds, `r` left, `t` seconds. */
export function refusalFields({ requestsPerSecond, burst }: RateLimit, waitMs: number): RefusalFields {
  const seconds = Math.max(1, Math.ceil(waitMs / 1000));
  const windowSeconds = Math.max(1, Math.ceil(burst / requestsPerSecond));
  return {
    "retry-after": String(seconds),
    ratelimit: `"client";r=0;t=${seconds}`,
    "ratelimit-policy": `"client";q=${burst};w=${windowSeconds}`,
  };
}
