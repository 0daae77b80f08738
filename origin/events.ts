/** What happens in the origin, as log records and metrics together. */
import type { Watermark } from "#domain/desired-state.ts";
import { isFailure } from "#domain/failure.ts";
import type { PeerIdentity } from "#platform/identity/peer.ts";
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";
import type { CollectResult } from "./blob-store/file-blob-store.ts";

export function createEvents(logger: Logger, metrics: Metrics) {
  const links = metrics.gauge("links", "Connected peers by role", ["role"]);
  const enrolments = metrics.counter("enrolments_total", "Enrolments and renewals by outcome", ["outcome"]);
  const delivered = metrics.counter("delivered_bytes_total", "Bytes of blobs delivered to edges");
  const refused = metrics.counter("delivery_refusals_total", "Blob requests refused by reason", ["code"]);
  const failed = metrics.counter("calls_failed_total", "Calls of nodes that ended with a failure, by code", ["code"]);
  const expiry = metrics.gauge("certificate_expires_timestamp_seconds", "When the origin's own certificate expires");
  const twice = metrics.counter("identity_twice_total", "Two processes connected with one identity");
  const putOff = metrics.counter("links_put_off_total", "Nodes told to connect later, because many did at once");
  const behind = metrics.counter("log_behind_total", "Nodes that connected with a later state of the log");
  const collected = metrics.counter("collected_bytes_total", "Bytes of blobs collected");
  return {
    enrolled(identity: PeerIdentity) {
      enrolments.inc({ outcome: "enrolled" });
      logger.info({ ...identity }, "node enrolled");
    },
    enrolRefused(node: string, error: unknown) {
      enrolments.inc({ outcome: isFailure(error) ? error.code : "bug" });
      logger.warn({ node, err: error }, "enrolment refused");
    },
    linkUp(peer: PeerIdentity) {
      links.inc({ role: peer.role });
      logger.info({ ...peer }, "link up");
    },
    linkDown(peer: PeerIdentity) {
      links.dec({ role: peer.role });
      logger.info({ ...peer }, "link down");
    },
    callFailed(error: unknown) {
      failed.inc({ code: isFailure(error) ? error.code : "bug" });
      if (isFailure(error)) logger.debug({ err: error }, "call failed");
      else logger.error({ err: error }, "call failed by a bug");
    },
    ...createApiEvents(logger, metrics),
    certificateIssued(expiresAtMs: number) {
      expiry.set(expiresAtMs / 1000);
      logger.info({ expiresAtMs }, "own certificate issued");
    },
    identityTwice(peer: PeerIdentity) {
      twice.inc();
      logger.warn({ ...peer }, "a second process has connected with this identity, the older one is cut");
    },
    linkPutOff(retryAfterSeconds: number) {
      putOff.inc();
      logger.debug({ retryAfterSeconds }, "a node was told to connect later");
    },
    logBehind(peer: PeerIdentity, { epoch, revision }: Watermark) {
      behind.inc();
      logger.error(
        { ...peer, nodeEpoch: epoch, nodeRevision: revision },
        "the log is older than what a node holds, which refuses it: after a backup was put back, restore it (node origin/main.ts restore EPOCH-ABOVE-THE-NODES)",
      );
    },
    delivered: (bytes: number) => delivered.inc(bytes),
    deliveryRefused: (code: string) => refused.inc({ code }),
    collected(result: CollectResult) {
      collected.inc(result.removedBytes);
      if (result.removed > 0) logger.info({ ...result }, "blobs collected");
    },
    housekeepingFailed(error: unknown) {
      logger.error({ err: error }, "housekeeping failed, it is tried again next time");
    },
    listening(addresses: Readonly<Record<string, string>>) {
      logger.info({ addresses }, "origin listening");
    },
  };
}

function createApiEvents(logger: Logger, metrics: Metrics) {
  const refused = metrics.counter("api_refusals_total", "Operator requests refused, by code", ["code"]);
  const forced = metrics.counter(
    "guard_rails_forced_total",
    "Changes of policies and pools made although guard-rails were broken",
  );
  return {
    apiRefused: (code: string) => refused.inc({ code }),
    guardRailsForced(subject: string, broken: readonly string[]) {
      forced.inc();
      logger.warn({ subject, broken }, "a change was made although it breaks guard-rails");
    },
  };
}
