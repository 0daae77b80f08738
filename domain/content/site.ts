/** A web site: its host names and whether its content is published here or pulled from an upstream. Pure. */

export interface CacheRule {
  /** A path, or a prefix ending in `*`; the first rule that matches counts. */
  readonly path: string;
  /** Freshness lifetime where the response states none. */
  readonly freshnessSeconds?: number;
  /** Never stored. */
  readonly bypass?: boolean;
}

export interface SiteCache {
  /** How long after its freshness lifetime a response may be served stale: the owner's contract with the cache (RFC 9111 section 4.2.4). */
  readonly maxStaleSeconds?: number;
  readonly rules?: readonly CacheRule[];
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
}
