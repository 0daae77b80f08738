/** What happens at the TLS listener: one method an event, the log record and the metrics together. */

import type { AcmeKeeperEvents } from "#platform/acme/acme-keeper.ts";
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";
import type { EdgeEvents } from "../../events.ts";
import type { CertificateEvents } from "./certificates.ts";
import type { TlsEvents } from "./tls-listener.ts";

/** What is told of every listener, in the clear as well. */
export type ListenerEvents = Pick<EdgeEvents, "connectionRefused" | "malformed">;

export function createTlsEvents(
  logger: Logger,
  metrics: Metrics,
  { connectionRefused, malformed }: ListenerEvents,
): TlsEvents & CertificateEvents & AcmeKeeperEvents {
  const remaining = metrics.gauge("certificate_remaining_seconds", "until a certificate expires", ["certificate"]);
  const loads = metrics.counter("certificate_loads_total", "certificates taken and refused", ["outcome"]);
  const handshakes = metrics.counter("tls_handshakes_total", "TLS handshakes done", ["protocol", "resumed"]);
  const failures = metrics.counter("tls_handshake_failures_total", "TLS handshakes that failed", ["reason"]);
  const refusals = metrics.counter("h2_refusals_total", "HTTP/2 connections ended and streams reset", ["reason"]);
  const orders = metrics.counter("certificate_orders_total", "certificates ordered by ACME", ["outcome"]);
  return {
    connectionRefused,
    malformed,
    ordered(name, because) {
      orders.inc({ outcome: "issued" });
      logger.info({ name, because }, "certificate issued");
    },
    orderFailed(name, failure) {
      orders.inc({ outcome: "failed" });
      logger.warn({ name, err: failure }, "certificate not issued, what is in force stays");
    },
    certificateInForce(source, { names, notAfterMs, fingerprint }) {
      loads.inc({ outcome: "taken" });
      logger.info({ source, names, notAfter: new Date(notAfterMs).toISOString(), fingerprint }, "certificate in force");
    },
    certificateRefused(source, failure) {
      loads.inc({ outcome: "refused" });
      logger.error({ source, err: failure }, "certificate refused, what was in force stays");
    },
    certificateRemoved(source) {
      remaining.remove({ certificate: source });
      logger.info({ source }, "certificate removed");
    },
    certificateRemaining: (source, seconds) => remaining.set({ certificate: source }, seconds),
    handshakeDone: (protocol, isResumed) => handshakes.inc({ protocol, resumed: String(isResumed) }),
    handshakeFailed: (reason) => failures.inc({ reason }),
    h2Refused(reason, remoteAddress) {
      refusals.inc({ reason });
      logger.warn({ reason, remoteAddress }, "HTTP/2 client refused");
    },
  };
}
