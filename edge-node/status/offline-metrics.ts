/** Whether the edge could go on without the cloud, and each reason against it, as metrics. */
import type { Metrics } from "#platform/metrics/metrics.ts";
import { OFFLINE_REASONS, type OfflineReason } from "./offline-ready.ts";

export function showOfflineReadiness(
  metrics: Pick<Metrics, "gauge" | "beforeRender">,
  reasonsNow: () => readonly OfflineReason[],
): void {
  const ready = metrics.gauge("offline_ready", "1 where the edge could go on without the cloud");
  const against = metrics.gauge("offline_unready_reason", "1 for each reason why it could not", ["reason"]);
  metrics.beforeRender(() => {
    const now = new Set(reasonsNow().map(({ reason }) => reason));
    ready.set(now.size === 0 ? 1 : 0);
    for (const reason of OFFLINE_REASONS) against.set({ reason }, now.has(reason) ? 1 : 0);
  });
}
