/** What happens where responses are compressed: the log record and the metrics together. */
import type { ContentCoding } from "#domain/http/content-coding.ts";
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";

export interface CompressionEvents {
  compressed(coding: ContentCoding, bytes: { readonly from: number; readonly to: number }): void;
  /** Too much waits already: the next hit asks again. */
  skipped(): void;
  failed(error: unknown): void;
}

export function createCompressionEvents(logger: Logger, metrics: Metrics): CompressionEvents {
  const made = metrics.counter("compressed_total", "encoded variants made", ["coding"]);
  const from = metrics.counter("compressed_from_bytes_total", "content before it was encoded", ["coding"]);
  const to = metrics.counter("compressed_to_bytes_total", "content after it was encoded", ["coding"]);
  const skipped = metrics.counter("compression_skipped_total", "encoded variants not made since too many waited");
  return {
    compressed(coding, bytes) {
      made.inc({ coding });
      from.inc({ coding }, bytes.from);
      to.inc({ coding }, bytes.to);
    },
    skipped: () => skipped.inc(),
    failed: (error) => logger.warn({ err: error }, "response not compressed"),
  };
}
