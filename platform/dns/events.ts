/** What happens at a DNS listener: one method an event, the log record and the metrics together. */
import type { Logger } from "../logging.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Rcode } from "./codes.ts";

export type DnsTransport = "udp" | "tcp";

export interface DnsEvents {
  answered(transport: DnsTransport, rcode: Rcode): void;
  /** Cut short, so that it is asked for by TCP. */
  truncated(because: "size" | "rate"): void;
  /** What got no answer, or a connection that was closed. */
  dropped(because: "short" | "response" | "long" | "rate" | "unsent" | "slow" | "connections"): void;
  broke(error: unknown): void;
}

export function createDnsEvents(logger: Logger, metrics: Metrics): DnsEvents {
  const answers = metrics.counter("dns_responses_total", "DNS responses by transport and code", ["transport", "rcode"]);
  const truncated = metrics.counter("dns_truncated_total", "DNS responses that send the client to TCP", ["reason"]);
  const dropped = metrics.counter("dns_dropped_total", "DNS queries and connections that got no answer", ["reason"]);
  return {
    answered: (transport, rcode) => answers.inc({ transport, rcode }),
    truncated: (reason) => truncated.inc({ reason }),
    dropped: (reason) => dropped.inc({ reason }),
    broke: (error) => logger.error({ err: error }, "a DNS query broke, it was answered as failed"),
  };
}
