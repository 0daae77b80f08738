/** What happens between edges: one method an event, the log record and the metrics together. */
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";
import type { PartAnswer } from "./sibling-blobs.ts";
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
    ...createFillEvents(logger, metrics),
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

/** Of blobs of releases. */
function createFillEvents(logger: Logger, metrics: Metrics) {
  const filled = metrics.counter("fill_bytes_total", "Bytes of objects received, by where from", ["from"]);
  const refused = metrics.counter("fill_bodies_refused_total", "Objects received that were not what they should be", [
    "from",
  ]);
  const parts = metrics.counter("sibling_parts_total", "Parts of objects asked of siblings, by outcome", ["outcome"]);
  const sent = metrics.counter("sibling_sent_bytes_total", "Bytes of objects sent to siblings");
  const declined = metrics.counter("sibling_refusals_total", "Siblings that were given no part, by status", ["status"]);
  return {
    filled: (from: "origin" | "sibling", bytes: number) => filled.inc({ from }, bytes),
    bodyRefused(from: "origin" | "sibling" | "several", names: readonly string[]) {
      refused.inc({ from });
      logger.error({ from: names }, "object received is not what its digest says, others are asked");
    },
    askedForBlob: (outcome: PartAnswer["kind"]) => parts.inc({ outcome }),
    sentToSibling: (bytes: number) => sent.inc(bytes),
    refusedSibling: (status: number) => declined.inc({ status: String(status) }),
  };
}
