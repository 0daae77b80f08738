/** The HTML report: latency over time for each kind of request, the outage marked, thresholds and tables. Pure. */
import type { Measured } from "./k6-run.ts";
import type { OutageTimes } from "./outage-control.ts";
import type { Second, Series } from "./samples.ts";

export interface ReportFacts {
  readonly title: string;
  readonly machine: string;
  readonly commit: string;
  /** ISO 8601. */
  readonly at: string;
  readonly measured: readonly Measured[];
  readonly outage: OutageTimes;
}

const WIDTH = 720;
const HEIGHT = 200;
const MARGIN = { left: 56, right: 12, top: 10, bottom: 26 };
/** Seconds without a request that a line does not cross. */
const GAP_SECONDS = 3;
const LINES = [
  { key: "p50Ms", label: "p50" },
  { key: "p95Ms", label: "p95" },
  { key: "p99Ms", label: "p99" },
] as const;

export function renderReport(facts: ReportFacts): string {
  const { title, machine, commit, at, measured, outage } = facts;
  const missed = measured.flatMap(({ thresholds }) => thresholds).filter(({ isMet }) => !isMet).length;
  const verdict = missed === 0 ? "every threshold met" : `${missed} thresholds missed`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${STYLE}</style></head><body>
<h1>${escapeHtml(title)}</h1>
<p class="${missed === 0 ? "met" : "missed"}">${verdict}</p>
<p>${escapeHtml(machine)}; commit ${escapeHtml(commit)}; ${escapeHtml(at)}</p>
${measured.map((one) => renderScenario(one, outage)).join("\n")}
</body></html>
`;
}

function renderScenario({ scenario, thresholds, samples }: Measured, outage: OutageTimes): string {
  const rows = thresholds.map(({ metric, condition, value, isMet }) => [
    isMet ? "met" : "missed",
    metric,
    condition,
    Number.isNaN(value) ? "nothing measured" : format(value),
  ]);
  const cut = scenario === "outage" ? spanOf(outage, samples.startMs) : undefined;
  const last = Math.max(1, ...samples.series.map(({ seconds }) => seconds.at(-1)?.second ?? 0));
  return `<section><h2>${escapeHtml(scenario)}</h2>
${table(["", "metric", "threshold", "measured"], rows)}
${samples.series.map((series) => renderSeries(series, { cut, last })).join("\n")}
</section>`;
}

/** What all charts of a scenario share; seconds since its first request. */
interface Timeline {
  readonly cut: Span | undefined;
  readonly last: number;
}

interface Span {
  readonly begin: number;
  readonly end: number | undefined;
}

function spanOf({ beginMs, endMs }: OutageTimes, startMs: number): Span | undefined {
  if (beginMs === undefined) return undefined;
  return { begin: (beginMs - startMs) / 1_000, end: endMs === undefined ? undefined : (endMs - startMs) / 1_000 };
}

function renderSeries(series: Series, timeline: Timeline): string {
  const { name, requests, failed, p50Ms, p95Ms, p99Ms, seconds } = series;
  const rows = seconds.map((one) =>
    [one.second, one.requests, one.failed, format(one.p50Ms), format(one.p95Ms), format(one.p99Ms)].map(String),
  );
  const summary = `${requests} requests, ${failed} failed; p50 ${format(p50Ms)}, p95 ${format(p95Ms)}, p99 ${format(p99Ms)} ms`;
  return `<figure><figcaption><h3>${escapeHtml(name)}</h3>${summary}</figcaption>
${renderChart(seconds, timeline, `Latency of ${name} by second: ${summary}`)}
<details><summary>numbers</summary>${table(["second", "requests", "failed", "p50 ms", "p95 ms", "p99 ms"], rows)}</details>
</figure>`;
}

function renderChart(seconds: readonly Second[], { cut, last }: Timeline, description: string): string {
  const highest = roundUp(Math.max(1, ...seconds.map(({ p99Ms }) => p99Ms)));
  const x = (second: number): number =>
    MARGIN.left + (Math.min(last, Math.max(0, second)) / last) * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (ms: number): number => HEIGHT - MARGIN.bottom - (ms / highest) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const lines = LINES.map(({ key, label }) => {
    const points = seconds.map((one, index) => {
      const isGap = one.second - (seconds[index - 1]?.second ?? Number.NEGATIVE_INFINITY) > GAP_SECONDS;
      const point = `${x(one.second).toFixed(1)},${y(one[key]).toFixed(1)}`;
      // A line of no length has round ends: one second alone is a dot.
      return isGap ? `M${point} h0` : `L${point}`;
    });
    return `<path class="${label}" d="${points.join(" ")}"/>`;
  });
  const failures = seconds
    .filter(({ failed }) => failed > 0)
    .map(({ second }) => `<circle class="failed" cx="${x(second).toFixed(1)}" cy="${MARGIN.top}" r="3"/>`);
  const outage = cut === undefined ? "" : renderCut(x(cut.begin), x(cut.end ?? last));
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(description)}">
${outage}${renderAxes(x, y, { last, highest })}${lines.join("")}${failures.join("")}${renderKey()}</svg>`;
}

function renderCut(left: number, right: number): string {
  const height = HEIGHT - MARGIN.top - MARGIN.bottom;
  const width = Math.max(1, right - left).toFixed(1);
  return `<rect class="cut" x="${left.toFixed(1)}" y="${MARGIN.top}" width="${width}" height="${height}"/>
<text class="cut-label" x="${(left + 4).toFixed(1)}" y="${MARGIN.top + 12}">cloud silent</text>`;
}

function renderAxes(
  x: (second: number) => number,
  y: (ms: number) => number,
  { last, highest }: { last: number; highest: number },
): string {
  const levels = [0, highest / 2, highest].map(
    (ms) =>
      `<line class="grid" x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${y(ms)}" y2="${y(ms)}"/>` +
      `<text x="${MARGIN.left - 6}" y="${y(ms) + 4}" text-anchor="end">${format(ms)} ms</text>`,
  );
  const moments = [0, Math.round(last / 2), last].map((second, index) => {
    const anchor = ["start", "middle", "end"][index] ?? "middle";
    return `<text x="${x(second)}" y="${HEIGHT - 8}" text-anchor="${anchor}">${second} s</text>`;
  });
  return [...levels, ...moments].join("");
}

function renderKey(): string {
  return LINES.map(({ label }, index) => {
    const left = WIDTH - MARGIN.right - 150 + index * 50;
    return (
      `<line class="${label}" x1="${left}" x2="${left + 18}" y1="${MARGIN.top + 8}" y2="${MARGIN.top + 8}"/>` +
      `<text x="${left + 22}" y="${MARGIN.top + 12}">${label}</text>`
    );
  }).join("");
}

/** 1, 2 or 5 times a power of ten, not below `value`. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5].find((step) => step * power >= value) ?? 10) * power;
}

function format(value: number): string {
  if (!Number.isFinite(value)) return "–";
  return value >= 100 ? String(Math.round(value)) : String(Math.round(value * 100) / 100);
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (tag: "th" | "td", texts: readonly string[]): string =>
    texts.map((text) => `<${tag}${classOf(text)}>${escapeHtml(text)}</${tag}>`).join("");
  const body = rows.map((row) => `<tr>${cells("td", row)}</tr>`).join("\n");
  return `<table><thead><tr>${cells("th", heads)}</tr></thead><tbody>${body}</tbody></table>`;
}

function classOf(text: string): string {
  return text === "met" || text === "missed" ? ` class="${text}"` : "";
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

const STYLE = `
:root{color-scheme:light dark;--ink:light-dark(#1b1f24,#e6e9ec);--page:light-dark(#fff,#14171a);--rule:light-dark(#d5dae0,#363c43);
--p50:light-dark(#1a7f4b,#5fd39a);--p95:light-dark(#0b62c4,#79b8ff);--p99:light-dark(#9a4f00,#ffb366);
--bad:light-dark(#b3261e,#ff8a80);--cut:light-dark(#b3261e1f,#ff8a8026)}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:50rem;margin:2rem auto;padding:0 1rem}
figure{margin:1.5rem 0}figcaption h3{margin:0}svg{width:100%;height:auto;display:block}
svg text{fill:currentColor;font-size:11px}path{fill:none;stroke-width:1.6;stroke-linejoin:round;stroke-linecap:round}line{stroke-width:1.6}
.p50{stroke:var(--p50)}.p95{stroke:var(--p95);stroke-dasharray:6 2}.p99{stroke:var(--p99);stroke-dasharray:2 2}
.grid{stroke:var(--rule);stroke-width:1}.cut{fill:var(--cut)}.failed{fill:var(--bad)}
table{border-collapse:collapse;font-size:.9rem}th,td{text-align:left;padding:.15rem .8rem .15rem 0;border-bottom:1px solid var(--rule)}
td:nth-child(n+3){font-variant-numeric:tabular-nums}.met{color:var(--p50)}.missed{color:var(--bad);font-weight:bold}
`;
