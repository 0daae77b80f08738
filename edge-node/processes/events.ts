/** What happens between the processes of an edge: the log record and the metrics together. */
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";

export type ProcessEvents = ReturnType<typeof createProcessEvents>;

export function createProcessEvents(logger: Logger, metrics: Metrics) {
  const running = metrics.gauge("front_processes", "front processes that serve");
  const ended = metrics.counter(
    "front_process_ends_total",
    "front processes that ended unasked, and were started again",
  );
  const hits = metrics.counter("front_hits_total", "hits that front processes answered, of copies");
  return {
    frontHits: (count: number) => hits.inc(count),
    frontsServing: (count: number) => running.set(count),
    frontEnded(pid: number | undefined, why: string, againMs: number) {
      ended.inc();
      logger.warn({ pid, why, againMs }, "front process ended, it is started again");
    },
    frontSilent: (pid: number | undefined) => logger.error({ pid }, "front process does not answer, it is killed"),
    frontLogFailed: (pid: number | undefined, message: string) =>
      logger.warn({ pid, message }, "access log not written by a front process"),
  };
}
