/** What happens in an edge's cache: one method an event, the log record and the metrics together. */
import type { Failure } from "#domain/failure.ts";
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";

/** How a request was answered; the words of RFC 9211 where it has one. */
export type CacheOutcome = "hit" | "stale" | "uri-miss" | "validated" | "collapsed" | "bypass" | "refused" | "failed";

/** From a hit in memory to an upstream that is at its limit. */
const DURATION_BUCKETS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];

export interface EdgeEvents {
  served(request: { method: string; target: string }, outcome: CacheOutcome, status: number, seconds: number): void;
  upstreamFailed(failure: Failure): void;
  broke(error: unknown): void;
}

export function createEdgeEvents(logger: Logger, metrics: Metrics): EdgeEvents {
  const requests = metrics.counter("requests_total", "requests answered", ["outcome", "status"]);
  const durations = metrics.histogram("request_seconds", "to the end of the answer", DURATION_BUCKETS_SECONDS);
  const failures = metrics.counter("upstream_failures_total", "requests the upstream failed", ["code"]);
  return {
    served({ method, target }, outcome, status, seconds) {
      requests.inc({ outcome, status: String(status) });
      durations.observe(seconds);
      logger.debug({ method, target, outcome, status, seconds }, "request served");
    },
    upstreamFailed(failure) {
      failures.inc({ code: failure.code });
      logger.warn({ err: failure }, "upstream failed");
    },
    broke: (error) => logger.error({ err: error }, "request broke"),
  };
}
