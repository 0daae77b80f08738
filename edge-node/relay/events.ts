/** What happens between an edge and those that it relays for, or that relay for it: the log record and the metrics together. */
import type { Failure } from "#domain/failure.ts";
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";
import { RelayRefused } from "./refusals.ts";

export function createRelayEvents(logger: Logger, metrics: Metrics) {
  const relayed = metrics.gauge("relayed_siblings", "Siblings that hear the origin by this edge");
  const isRelayed = metrics.gauge("origin_link_relayed", "1 while the origin is heard by a sibling");
  const failures = metrics.counter("relay_failures_total", "Siblings that did not relay when asked, or no longer", [
    "outcome",
  ]);
  let by: string | undefined;
  return {
    relaying: (siblings: number) => relayed.set(siblings),
    linkedBy(relay: string | undefined) {
      isRelayed.set(relay === undefined ? 0 : 1);
      if (relay !== by)
        logger.info({ relay: relay ?? "none", before: by ?? "none" }, "the way to the origin has changed");
      by = relay;
    },
    relayFailed(relay: string, failure: Failure) {
      failures.inc({ outcome: failure instanceof RelayRefused ? "declined" : "failed" });
      logger.debug({ relay, err: failure }, "a sibling does not relay");
    },
  };
}
