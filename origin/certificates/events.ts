/** What becomes of sites' certificates, as log records and metrics together. */
import type { Failure } from "#domain/failure.ts";
import type { AcmeKeeperEvents } from "#platform/acme/acme-keeper.ts";
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";

export interface CertificateEvents extends AcmeKeeperEvents {
  /** One that was kept and cannot be served: it is ordered anew. */
  storedRefused(hostname: string, failure: Failure): void;
  /** The log did not take what pools are to have: it is tried again at the next look. */
  handOutFailed(failure: Failure): void;
}

export function createCertificateEvents(logger: Logger, metrics: Metrics): CertificateEvents {
  const orders = metrics.counter("certificate_orders_total", "certificates of sites ordered by ACME", ["outcome"]);
  return {
    ordered(hostname, because) {
      orders.inc({ outcome: "issued" });
      logger.info({ hostname, because }, "certificate issued");
    },
    orderFailed(hostname, failure) {
      orders.inc({ outcome: "failed" });
      logger.warn({ hostname, err: failure }, "certificate not issued, what is in force stays");
    },
    handOutFailed: (failure) => logger.warn({ err: failure }, "certificates not written to the log yet"),
    storedRefused: (hostname, failure) => logger.warn({ hostname, err: failure }, "stored certificate refused"),
  };
}
