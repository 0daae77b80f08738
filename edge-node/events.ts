/** What happens in an edge's cache: one method an event, the log record and the metrics together. */
import type { Failure } from "#domain/failure.ts";
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";
import type { StoreEvents } from "./store/disk-tier.ts";

/** How a request was answered; the words of RFC 9211 where it has one. */
export type CacheOutcome =
  | "hit"
  | "stale"
  | "uri-miss"
  | "vary-miss"
  /** What was stored is as it was at the upstream, or another response took its place. */
  | "validated"
  | "replaced"
  | "collapsed"
  | "bypass"
  | "refused"
  | "failed";

/** From a hit in memory to an upstream that is at its limit. */
const DURATION_BUCKETS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];

export type ConnectionRefusal = "connections" | "connections-of-client";

export interface EdgeEvents {
  served(request: { method: string; target: string }, outcome: CacheOutcome, status: number, seconds: number): void;
  /** A stored response was found. */
  found(tier: "memory" | "disk"): void;
  /** A hit that the fast lane has answered. */
  hit(status: number): void;
  /** Hits of another process. */
  hits(status: number, count: number): void;
  sent(contentBytes: number): void;
  /** A response that was being stored broke off. */
  fillFailed(failure: Failure): void;
  /** A connection that was closed at once. */
  connectionRefused(because: ConnectionRefusal): void;
  /** What is no request, and the status that it was answered with. */
  malformed(status: number): void;
  upstreamFailed(failure: Failure): void;
  broke(error: unknown): void;
  /** Lines of the access log that could not be kept. */
  accessLinesLost(lines: number): void;
  accessLogFailed(failure: Failure): void;
}

export function createEdgeEvents(logger: Logger, metrics: Metrics): EdgeEvents {
  const requests = metrics.counter("requests_total", "requests answered", ["outcome", "status"]);
  const durations = metrics.histogram(
    "request_seconds",
    "to the end of the answer, without hits of the fast lane, which take no time to speak of",
    DURATION_BUCKETS_SECONDS,
  );
  const found = metrics.counter("hits_total", "requests for which a stored response was found", ["tier"]);
  const bytes = metrics.counter("sent_bytes_total", "content of answers");
  const fills = metrics.counter("fill_errors_total", "responses that broke off while they were stored", ["code"]);
  const refused = metrics.counter("connections_refused_total", "connections closed at once", ["reason"]);
  const failures = metrics.counter("upstream_failures_total", "requests the upstream failed", ["code"]);
  const lost = metrics.counter("access_lines_lost_total", "lines of the access log that could not be kept");
  const answered = new Map<string, () => void>();
  const count = (outcome: CacheOutcome, status: number) => {
    const known = answered.get(`${outcome} ${status}`);
    if (known !== undefined) return known();
    const counter = requests.labels({ outcome, status: String(status) });
    answered.set(`${outcome} ${status}`, () => counter.inc());
    counter.inc();
  };
  const hits = new Map<number, number>();
  let sentBytes = 0;
  metrics.beforeRender(() => {
    for (const [status, count] of hits) {
      requests.inc({ outcome: "hit", status: String(status) }, count);
      found.inc({ tier: "memory" }, count);
    }
    hits.clear();
    bytes.inc(sentBytes);
    sentBytes = 0;
  });
  return {
    found: (tier) => found.inc({ tier }),
    hit: (status) => void hits.set(status, (hits.get(status) ?? 0) + 1),
    hits: (status, count) => void hits.set(status, (hits.get(status) ?? 0) + count),
    sent(contentBytes) {
      sentBytes += contentBytes;
    },
    fillFailed: (failure) => fills.inc({ code: failure.code }),
    connectionRefused(because) {
      refused.inc({ reason: because });
      logger.debug({ because }, "connection refused");
    },
    malformed: (status) => count("refused", status),
    served({ method, target }, outcome, status, seconds) {
      count(outcome, status);
      durations.observe(seconds);
      if (logger.isLevelEnabled("debug")) logger.debug({ method, target, outcome, status, seconds }, "request served");
    },
    upstreamFailed(failure) {
      failures.inc({ code: failure.code });
      logger.warn({ err: failure }, "upstream failed");
    },
    accessLinesLost: (lines) => lost.inc(lines),
    accessLogFailed: (failure) => logger.warn({ err: failure }, "access log not written"),
    broke: (error) => logger.error({ err: error }, "request broke"),
  };
}

export function createStoreEvents(logger: Logger, metrics: Metrics): StoreEvents {
  const lost = metrics.counter("store_lost_total", "stored responses that could not be had", ["code"]);
  const notStored = metrics.counter("store_refused_total", "responses served and not stored", ["code"]);
  const evicted = metrics.counter("store_evicted_total", "stored responses that left for want of room", ["reason"]);
  const bytes = metrics.gauge("store_bytes", "what stored responses take on disk");
  const objects = metrics.gauge("store_objects", "stored responses on disk");
  return {
    lost(failure) {
      lost.inc({ code: failure.code });
      logger.warn({ err: failure }, "stored response lost");
    },
    notStored(failure) {
      notStored.inc({ code: failure.code });
      logger.warn({ err: failure }, "response not stored");
    },
    evicted: (count, because) => evicted.inc({ reason: because }, count),
    used(usage) {
      bytes.set(usage.bytes);
      objects.set(usage.objects);
    },
  };
}
