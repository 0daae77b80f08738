/** What happens between the origin and etcd, as log records and metrics together. */
import type { Failure } from "#domain/failure.ts";
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";

export function createEtcdEvents(logger: Logger, metrics: Metrics) {
  const failures = metrics.counter("log_watch_failures_total", "Members of etcd that stopped answering the watch");
  return {
    logWatchFailed(error: Failure) {
      failures.inc();
      logger.warn({ err: error }, "a member of etcd does not answer, another is asked; reads go on from what is held");
    },
  };
}
