/** What the page's two panels say of a session, as rows of text. Pure. */
import { LATENCY_PARTS, type LatencyPart, type LatencySummary, type Percentiles } from "../latency/latency.ts";
import type { SessionState } from "../session-state.ts";
import type { VrStatistics } from "../vr-client.ts";

export interface PartRow {
  readonly part: string;
  /** What the plot calls it; `undefined` of what is not drawn there. */
  readonly plotted: LatencyPart | undefined;
  readonly p50: string;
  readonly p95: string;
}

export const PART_WORDS: Readonly<Record<LatencyPart, string>> = {
  networkMs: "Network",
  waitMs: "Waiting at the agent",
  renderMs: "Render",
  encodeMs: "Encode",
  decodeMs: "Decode",
};

export function partRows({ latency }: Pick<VrStatistics, "latency">): readonly PartRow[] {
  const show = (ms: number | undefined): string => (ms === undefined ? "–" : ms.toFixed(1));
  const row = (part: string, of: (summary: LatencySummary) => Percentiles, plotted?: LatencyPart): PartRow => {
    const percentiles = latency === undefined ? undefined : of(latency);
    return { part, plotted, p50: show(percentiles?.p50), p95: show(percentiles?.p95) };
  };
  return [
    row("Whole path", ({ remotePathMs }) => remotePathMs),
    ...LATENCY_PARTS.map((part) => row(PART_WORDS[part], (summary) => summary[part], part)),
    row("Jitter", ({ jitterMs }) => jitterMs),
  ];
}

export interface Verdict {
  readonly text: string;
  /** `undefined` where nothing was measured, or no budget was promised. */
  readonly isWithin: boolean | undefined;
}

export function verdictOf({ latency, budget }: Pick<VrStatistics, "latency" | "budget">): Verdict {
  if (latency === undefined) return { text: "No frame yet.", isWithin: undefined };
  const p95 = latency.remotePathMs.p95;
  const measured = `p95 is ${p95.toFixed(1)} ms`;
  if (budget === undefined) return { text: `${measured}; no budget was promised.`, isWithin: undefined };
  const isWithin = p95 <= budget.budgetMs;
  return { text: `${measured}: ${isWithin ? "within" : "above"} the budget of ${budget.budgetMs} ms.`, isWithin };
}

function soundWords({ audio, audioToPictureMs }: VrStatistics): string {
  if (audio.phase === "off") return "muted";
  if (audio.phase === "waiting-for-gesture") return "begins with a click, a tap or a key";
  if (audio.phase === "unavailable") return `none: ${audio.because ?? "no reason is known"}`;
  return audioToPictureMs === undefined
    ? "on, and silent"
    : `on, ${audioToPictureMs.p50.toFixed(0)} ms after the picture`;
}

export type SessionRow = readonly [term: string, value: string];

export function sessionRows(state: SessionState, statistics: VrStatistics): readonly SessionRow[] {
  const { session, pool, agent, edge, transport, renderClass, decision } = state;
  const { latency, counts, freezes, frozenMs, poseToDrawnMs: drawn } = statistics;
  const rows: readonly (readonly [string, string | undefined])[] = [
    ["Session", session],
    ["Pool", pool],
    ["Agent", agent],
    ["Edge", edge],
    ["Transport", transport],
    [
      "Picture",
      renderClass === undefined
        ? undefined
        : `2 × ${renderClass.eyeWidthPixels} × ${renderClass.eyeHeightPixels} at ${renderClass.frameRateHz} Hz`,
    ],
    ["Frame rate", latency === undefined ? undefined : `${latency.frameRateHz.toFixed(1)} Hz`],
    ["Frames", counts === undefined ? undefined : `${counts.framesDecoded} decoded, ${counts.framesLost} lost`],
    ["Freezes", freezes === 0 ? "none" : `${freezes}, ${(frozenMs / 1000).toFixed(1)} s in all`],
    ["Pose to drawn", drawn === undefined ? undefined : `${drawn.p50.toFixed(0)} ms, p95 ${drawn.p95.toFixed(0)} ms`],
    ["Sound", soundWords(statistics)],
    ["Decision", decision],
  ];
  return rows.flatMap(([term, value]) => (value === undefined ? [] : [[term, value] as const]));
}
