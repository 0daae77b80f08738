/** A web site: its host names and whether its content is published here or pulled from an upstream. Pure. */

export interface CacheRule {
  /** A path, or a prefix ending in `*`; the first rule that matches counts. */
  readonly path: string;
  /** Freshness lifetime where the response states none. */
  readonly freshnessSeconds?: number;
  /** Never stored. */
  readonly bypass?: boolean;
  /** Responses that set cookies are stored, and their cookies are for everyone. */
  readonly shareSetCookie?: boolean;
}

export interface SiteCache {
  /** How long after its freshness lifetime a response may be served stale: the owner's contract with the cache (RFC 9111 section 4.2.4). */
  readonly maxStaleSeconds?: number;
  readonly rules?: readonly CacheRule[];
  /** Whether edges compress what is worth it and comes uncompressed. */
  readonly compress?: boolean;
}

/** An Ed25519 key whose signatures open URLs: nothing secret is distributed. */
export interface SignedUrlKey {
  readonly keyId: string;
  /** Its 32 octets, base64url. */
  readonly publicKey: string;
}

/** Where a URL or a cookie must be signed (`perigee sign-url`). */
export interface SignedUrls {
  /** Several at once while one takes over from another. */
  readonly keys: readonly SignedUrlKey[];
  /** Paths as in a URL, or prefixes ending in `*`. */
  readonly paths: readonly string[];
}

/** Of each client: an IPv4 address, or an IPv6 network of /64. */
export interface ClientRateLimit {
  readonly requestsPerSecond: number;
  /** Requests at once after a pause. */
  readonly burst: number;
}

/** Content uploaded to the origin as immutable releases. */
export interface PublishedContent {
  /** Releases kept for `rollback`, the current one among them. */
  readonly keepReleases: number;
  /** Served for a path that ends in `/`. */
  readonly indexDocument: string;
  /** Served with 404 for a path that the release does not have. */
  readonly notFoundDocument?: string;
}

/** Content of an upstream HTTP server, fronted by the cache. */
export interface PulledContent {
  /** Scheme, host and port, without a path. */
  readonly upstream: string;
  readonly connectTimeoutMs: number;
  readonly responseTimeoutMs: number;
}

export interface SiteSpec {
  readonly hostnames: readonly string[];
  /** Exactly one of `publish` and `pull` is there. */
  readonly publish?: PublishedContent;
  readonly pull?: PulledContent;
  readonly cache?: SiteCache;
  readonly signedUrls?: SignedUrls;
  /** Whether the origin orders a certificate for each host name. */
  readonly acme?: boolean;
  /** Counted by each edge for itself. */
  readonly rateLimit?: ClientRateLimit;
}
