/** What the page's two panels say of a session, as rows of text. Pure. */
import type { LatencySummary, Percentiles } from "../latency/latency.ts";
import type { SessionFacts } from "../session/session-ports.ts";
import type { VrStatistics } from "../vr-client.ts";

export interface PartRow {
  readonly part: string;
  readonly p50: string;
  readonly p95: string;
}

const PARTS: readonly { readonly part: string; readonly of: (summary: LatencySummary) => Percentiles }[] = [
  { part: "Whole path", of: (summary) => summary.remotePathMs },
  { part: "Network", of: (summary) => summary.networkMs },
  { part: "Waiting at the agent", of: (summary) => summary.waitMs },
  { part: "Render", of: (summary) => summary.renderMs },
  { part: "Encode", of: (summary) => summary.encodeMs },
  { part: "Decode", of: (summary) => summary.decodeMs },
  { part: "Jitter", of: (summary) => summary.jitterMs },
];

export function partRows({ latency }: Pick<VrStatistics, "latency">): readonly PartRow[] {
  const show = (ms: number | undefined): string => (ms === undefined ? "–" : ms.toFixed(1));
  return PARTS.map(({ part, of }) => {
    const percentiles = latency === undefined ? undefined : of(latency);
    return { part, p50: show(percentiles?.p50), p95: show(percentiles?.p95) };
  });
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

export type SessionRow = readonly [term: string, value: string];

export function sessionRows(facts: SessionFacts, statistics: VrStatistics): readonly SessionRow[] {
  const { grant, placement, session } = facts;
  const { latency, counts } = statistics;
  const renderClass = grant?.connected.renderClass;
  const rows: readonly (readonly [string, string | undefined])[] = [
    ["Session", session],
    ["Pool", placement?.pool],
    ["Agent", grant?.connected.agent],
    ["Edge", grant?.edge],
    ["Transport", grant?.transport],
    [
      "Picture",
      renderClass === undefined
        ? undefined
        : `2 × ${renderClass.eyeWidthPixels} × ${renderClass.eyeHeightPixels} at ${renderClass.frameRateHz} Hz`,
    ],
    ["Frame rate", latency === undefined ? undefined : `${latency.frameRateHz.toFixed(1)} Hz`],
    ["Frames", counts === undefined ? undefined : `${counts.framesDecoded} decoded, ${counts.framesLost} lost`],
    ["Decision", placement?.decision],
  ];
  return rows.flatMap(([term, value]) => (value === undefined ? [] : [[term, value] as const]));
}
