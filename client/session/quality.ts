/** What a client tells its edge of a session's quality. Pure. */
import type { LinkStatistics } from "../media/media-port.ts";
import type { Quality } from "./session-api.ts";

/** What the report's schema admits. */
const REPORT_MS_MAX = 60_000;

/** `undefined` while no frame was decoded in the window: there is nothing to say. */
export function qualityOf({ latency, counts }: LinkStatistics): Quality | undefined {
  if (latency === undefined) return undefined;
  const bounded = (ms: number): number => Math.min(ms, REPORT_MS_MAX);
  return {
    remotePathMsP50: bounded(latency.remotePathMs.p50),
    remotePathMsP95: bounded(latency.remotePathMs.p95),
    networkMsP95: bounded(latency.networkMs.p95),
    renderEncodeMsP95: bounded(latency.renderEncodeMs.p95),
    decodeMsP95: bounded(latency.decodeMs.p95),
    jitterMsP95: bounded(latency.jitterMs.p95),
    framesDecoded: counts.framesDecoded,
    framesLost: counts.framesLost,
  };
}
