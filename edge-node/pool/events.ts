/** What happens between edges: one method an event, the log record and the metrics together. */
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";
import type { DeclineReason } from "./tier-fields.ts";
import type { Tier } from "./tier-plan.ts";
import type { TierOutcome } from "./tier-requests.ts";

export type TierEvents = ReturnType<typeof createTierEvents>;

export function createTierEvents(logger: Logger, metrics: Metrics) {
  const asked = metrics.counter("tier_requests_total", "Requests to other edges, by tier and outcome", [
    "tier",
    "outcome",
  ]);
  const answered = metrics.counter("peer_requests_total", "Requests of other edges, by what became of them", [
    "outcome",
  ]);
  return {
    asked(tier: Tier, outcome: TierOutcome, peer: string) {
      asked.inc({ tier, outcome });
      if (outcome !== "answered") logger.debug({ tier, outcome, peer }, "another edge did not answer");
    },
    peerAnswered: () => answered.inc({ outcome: "answered" }),
    peerDeclined(reason: DeclineReason) {
      answered.inc({ outcome: reason });
      if (reason === "untrusted") logger.warn({ reason }, "a request of another edge was refused");
    },
    broke: (error: unknown) => logger.error({ err: error }, "request of another edge broke"),
  };
}
