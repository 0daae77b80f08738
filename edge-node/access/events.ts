/** What an edge refuses before it looks anything up: the log record and the metric together. */
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";
import type { AccessRefusal } from "./access-decision.ts";

export interface AccessEvents {
  refused(because: AccessRefusal | "rate-limited"): void;
}

export function createAccessEvents(logger: Logger, metrics: Metrics): AccessEvents {
  const refused = metrics.counter("access_refused_total", "requests refused by signature or rate", ["reason"]);
  return {
    refused(reason) {
      refused.inc({ reason });
      if (logger.isLevelEnabled("debug")) logger.debug({ reason }, "request refused");
    },
  };
}
