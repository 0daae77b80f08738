/** Prints what a simulation came to, before and after, for a person and for a program. */
import { type Comparison, shareOf } from "#domain/simulation/compare-days.ts";
import type { DaySummary } from "#domain/simulation/tally.ts";
import { renderTable } from "../output.ts";

const NAMES_SHOWN = 5;

type Row = readonly [name: string, before: string, after: string, delta: string];

export function reportLines(comparison: Comparison, notes: readonly string[]): readonly string[] {
  const { shares, losers } = comparison;
  const lines = [renderTable(["", "BEFORE", "AFTER", "DELTA"], totalRows(comparison)), ""];
  const rows = shares.map(({ region, tier, sessions, before, after }) => [
    ...[region, tier, count(sessions), percent(before), percent(after), points(after - before)],
  ]);
  lines.push(renderTable(["REGION", "TIER", "SESSIONS", "WITHIN BEFORE", "AFTER", "DELTA"], rows), "");
  if (losers.length === 0) lines.push("no group of clients loses");
  else {
    const heads = ["WHO LOSES MOST", "SESSIONS", "LOST", "WITHIN BEFORE", "AFTER", "MEAN RTT BEFORE", "AFTER"];
    const each = losers.map((loser) => [
      ...[loser.group, count(loser.sessions), count(loser.lost), percent(loser.shareBefore)],
      ...[percent(loser.shareAfter), ms(loser.rttMsBefore), ms(loser.rttMsAfter)],
    ]);
    lines.push(renderTable(heads, each));
  }
  return [...lines, "", ...notes.map((note) => `note: ${note}`)];
}

function totalRows({ before, after, moves, lost }: Comparison): readonly Row[] {
  const counted = (name: string, pick: (summary: DaySummary) => number): Row => [
    ...([name, count(pick(before)), count(pick(after)), signed(pick(after) - pick(before), count)] as const),
  ];
  const timed = (name: string, pick: (summary: DaySummary) => number): Row => [
    ...([name, ms(pick(before)), ms(pick(after)), signed(pick(after) - pick(before), ms)] as const),
  ];
  const [was, is] = [shareOf([before]), shareOf([after])];
  return [
    counted("sessions", ({ sessions }) => sessions),
    ["within their limit", percent(was), percent(is), points(is - was)],
    timed("mean RTT", ({ rttMsMean }) => rttMsMean),
    timed("p95 RTT", ({ rttMsP95 }) => rttMsP95),
    counted("degraded", ({ degraded }) => degraded),
    counted("told to wait", ({ queued }) => queued),
    counted("refused", ({ refused }) => refused),
    ["moved by the change", "", count(moves), ""],
    ["ended by the change", "", count(lost), ""],
    counted("fill bytes", ({ fillBytes }) => fillBytes),
    ["cost", cost(before), cost(after), costDelta(before, after)],
  ];
}

/** Whole numbers and lists only: what JSON has. */
export function reportDocument(comparison: Comparison, source: string, notes: readonly string[]): object {
  const { before, after, moves, lost, shares, losers } = comparison;
  return { source, before: documentOf(before), after: documentOf(after), moves, lost, shares, losers, notes };
}

function documentOf(summary: DaySummary): object {
  const { policies, ...rest } = summary;
  return { ...rest, shareWithinLimit: shareOf([summary]), policies: Object.fromEntries(policies) };
}

function cost({ cost }: DaySummary): string {
  return cost === undefined ? "not stated" : cost.toFixed(2);
}

function costDelta(before: DaySummary, after: DaySummary): string {
  if (before.cost === undefined || after.cost === undefined) return "";
  return signed(after.cost - before.cost, (value) => value.toFixed(2));
}

export function count(value: number): string {
  return String(Math.round(value));
}

export function percent(ratio: number): string {
  return Number.isNaN(ratio) ? "–" : `${(100 * ratio).toFixed(1)} %`;
}

function points(ratio: number): string {
  return Number.isNaN(ratio) ? "–" : signed(100 * ratio, (value) => value.toFixed(1));
}

function ms(value: number): string {
  return Number.isNaN(value) ? "–" : `${value.toFixed(1)} ms`;
}

function signed(value: number, shown: (value: number) => string): string {
  if (Number.isNaN(value)) return "–";
  const text = shown(Math.abs(value));
  return `${value < 0 && /[1-9]/.test(text) ? "-" : "+"}${text}`;
}

export function shortList(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN;
  return `${names.slice(0, NAMES_SHOWN).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
