/** Which waiting reports become one, and which are given up first where there is no room. Pure. */
import { assert } from "#domain/assert.ts";
import { addCounts, parseUsageRecord } from "#domain/usage/site-usage.ts";

export type ReportKind =
  | "session-ended"
  | "session-quality"
  | "link-up"
  | "link-down"
  | "release-refused"
  | "returned-to-proven"
  /** What a site was used in an hour. */
  | "usage"
  /** Made by the queue: how many of which kind it has given up. */
  | "reports-dropped";

type Values = Readonly<Record<string, unknown>>;

export interface ReportPolicy {
  /** The lowest is given up first, and of one rank the oldest. */
  readonly rank: number;
  /** Reports of one subject that come within an interval become one while they wait. */
  readonly merging?: { readonly intervalMs: number; merge(earlier: Values, later: Values): Values };
}

/** Never given up: it is what says that others were. */
export const KEPT_RANK = 9;

/**
 * What can be made up for goes first: a session's quality is one of many samples, how a session ended is told once, and
 * usage may be billed by.
 */
export const REPORT_POLICIES: Readonly<Record<ReportKind, ReportPolicy>> = {
  "session-quality": { rank: 0, merging: { intervalMs: 60_000, merge: mergeQuality } },
  "link-up": { rank: 1 },
  "link-down": { rank: 1 },
  "release-refused": { rank: 1 },
  "returned-to-proven": { rank: 2 },
  "session-ended": { rank: 2 },
  // Its subject names the hour.
  usage: { rank: 3, merging: { intervalMs: Number.POSITIVE_INFINITY, merge: mergeUsage } },
  "reports-dropped": { rank: KEPT_RANK, merging: { intervalMs: Number.POSITIVE_INFINITY, merge: mergeSums } },
};

/** What reports of one kind, subject and interval share; `undefined` where each stays alone. */
export function mergeKeyOf(kind: ReportKind, subject: string | undefined, atMs: number): string | undefined {
  const { merging } = REPORT_POLICIES[kind];
  if (merging === undefined || subject === undefined) return undefined;
  const interval = Number.isFinite(merging.intervalMs) ? Math.floor(atMs / merging.intervalMs) : 0;
  return `${kind}/${subject}/${interval}`;
}

/** The worst of what is a bound, the mean of what is typical; frames are counted from the session's start. */
function mergeQuality(earlier: Values, later: Values): Values {
  const reports = numberOf(earlier["reports"] ?? 1);
  const merged: Record<string, unknown> = { ...later, reports: reports + 1 };
  for (const [name, value] of Object.entries(later)) {
    const [before, now] = [numberOf(earlier[name]), numberOf(value)];
    if (name.endsWith("MsP50")) merged[name] = (before * reports + now) / (reports + 1);
    else if (name.endsWith("MsP95")) merged[name] = Math.max(before, now);
  }
  return merged;
}

function mergeUsage(earlier: Values, later: Values): Values {
  const [one, other] = [parseUsageRecord(earlier), parseUsageRecord(later)];
  assert(one !== undefined && other !== undefined, "an edge writes records of usage that it can read");
  return { ...one, counts: addCounts(one.counts, other.counts) };
}

/** Numbers are counts; what else there is says the same in both. */
function mergeSums(earlier: Values, later: Values): Values {
  const merged: Record<string, unknown> = { ...earlier, ...later };
  for (const name of Object.keys(merged)) {
    const [before, now] = [earlier[name], later[name]];
    if (typeof before === "number" || typeof now === "number") merged[name] = numberOf(before) + numberOf(now);
  }
  return merged;
}

function numberOf(value: unknown): number {
  return typeof value === "number" ? value : 0;
}
