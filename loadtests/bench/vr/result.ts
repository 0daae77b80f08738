/** The files that a benchmark leaves: everything as JSON, a table, and a plot of the parts of each latency. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Report } from "#test/bench/report.ts";
import { findValue, type Measure } from "./measures.ts";

export interface CaseResult {
  readonly size: string;
  readonly way: string;
  readonly detail: number | undefined;
  /** Of the runs. */
  readonly medians: readonly Measure[];
  readonly runs: readonly {
    readonly isQuiet: boolean;
    readonly idleRatio: number;
    readonly stealRatio: number;
    readonly measures: readonly Measure[];
  }[];
}

export interface VrResult {
  readonly report: Report;
  /** Of Vulkan: what every number here depends on. */
  readonly driver: string;
  readonly cases: readonly CaseResult[];
  /** Several sessions at once, and the agent's words for the first it refused. */
  readonly together: readonly {
    readonly size: string;
    readonly measures: readonly Measure[];
    readonly refusal: string | undefined;
  }[];
}

export function writeResult(folder: string, result: VrResult): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "vr.json"), `${JSON.stringify(result, undefined, 2)}\n`);
  writeFileSync(join(folder, "vr.md"), tableOf(result));
  writeFileSync(join(folder, "vr.svg"), plotOf(result));
}

const COLUMNS: readonly (readonly [title: string, measures: readonly string[]])[] = [
  ["pose → decoded p50/p95/p99", ["pose to decoded p50", "pose to decoded p95", "pose to decoded p99"]],
  ["network p50/p95", ["network p50", "network p95"]],
  ["wait", ["wait p50", "wait p95"]],
  ["render", ["render p50", "render p95"]],
  ["encode", ["encode p50", "encode p95"]],
  ["decode", ["decode p50", "decode p95"]],
  ["shown %", ["frames shown"]],
  ["freezes", ["freezes over 100 ms"]],
  ["PSNR dB", ["PSNR of what was shown p50"]],
  ["CPU, cores", ["CPU a session"]],
  ["first frame ms", ["first frame"]],
];

function tableOf({ report, driver, cases, together }: VrResult): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const titles = ["size", "way", "detail", "quiet runs", ...COLUMNS.map(([title]) => title)];
  const rows = cases.map(({ size, way, detail, medians, runs }) => {
    const quiet = `${runs.filter(({ isQuiet }) => isQuiet).length} of ${runs.length}`;
    const cells = COLUMNS.map(([, names]) => names.map((name) => shortOf(findValue(medians, name))).join(" / "));
    return line([size, way, String(detail ?? "not told"), quiet, ...cells]);
  });
  const others = together.map(({ size, measures, refusal }) => {
    const said = measures.map(({ name, value, unit }) => `${name} ${shortOf(value)} ${unit}`).join(", ");
    return `- ${size}: ${said}; then: ${refusal ?? "none was refused"}`;
  });
  return [
    `${report.name} on ${report.machine}, commit ${report.commit}, Vulkan: ${driver}. Medians of runs.`,
    ...["", line(titles), line(titles.map(() => "---")), ...rows, ""],
    ...["Several sessions at once:", "", ...others, ""],
  ].join("\n");
}

function shortOf(value: number | undefined): string {
  return value === undefined ? "–" : value.toFixed(value < 10 ? 1 : 0);
}

const PLOTTED = [
  { part: "network", colour: "#4c78a8" },
  { part: "wait", colour: "#bab0ac" },
  { part: "render", colour: "#f58518" },
  { part: "encode", colour: "#e45756" },
  { part: "decode", colour: "#54a24b" },
] as const;
const LABEL_PIXELS = 330;
const BAR_PIXELS = 520;
const ROW_PIXELS = 22;
const TOP_PIXELS = 48;
const MARK_MS = 30;

/** A bar of the parts' medians for each case, a line at p95 of the whole, and one at 30 ms. */
function plotOf({ driver, report, cases }: VrResult): string {
  const worst = cases.map(({ medians }) => findValue(medians, "pose to decoded p95") ?? 0);
  const scale = BAR_PIXELS / Math.max(MARK_MS, ...worst);
  const height = TOP_PIXELS + cases.length * ROW_PIXELS + 10;
  const bars = cases.flatMap(({ size, way, medians }, index) => {
    const y = TOP_PIXELS + index * ROW_PIXELS;
    let x = LABEL_PIXELS;
    const parts = PLOTTED.map(({ part, colour }) => {
      const width = (findValue(medians, `${part} p50`) ?? 0) * scale;
      const bar = `<rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="14" fill="${colour}"/>`;
      x += width;
      return bar;
    });
    const p95 = LABEL_PIXELS + (findValue(medians, "pose to decoded p95") ?? 0) * scale;
    const mark = `<line x1="${p95.toFixed(1)}" x2="${p95.toFixed(1)}" y1="${y - 2}" y2="${y + 16}" stroke="#000"/>`;
    return [`<text x="4" y="${y + 11}">${size}, ${way}</text>`, ...parts, mark];
  });
  const legend = PLOTTED.map(({ part, colour }, index) => {
    const x = LABEL_PIXELS + index * 90;
    return `<rect x="${x}" y="24" width="10" height="10" fill="${colour}"/><text x="${x + 14}" y="33">${part}</text>`;
  });
  const budget = LABEL_PIXELS + MARK_MS * scale;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${LABEL_PIXELS + BAR_PIXELS + 20}" height="${height}" font-family="sans-serif" font-size="11">`,
    '<rect width="100%" height="100%" fill="#fff"/>',
    `<text x="4" y="14">pose to decoded, medians of the parts; black: p95, red: ${MARK_MS} ms; ${driver}, ${report.commit}</text>`,
    ...legend,
    ...bars,
    `<line x1="${budget.toFixed(1)}" x2="${budget.toFixed(1)}" y1="${TOP_PIXELS - 6}" y2="${height}" stroke="#c00" stroke-dasharray="3 3"/>`,
    "</svg>",
  ].join("\n")}\n`;
}
