/** What a site's use is counted by, at edges and in the origin's sums. Pure. */
import { NAME_PATTERN } from "../ids.ts";

/** How a request was answered, in the words of `Cache-Status` (RFC 9211) where it has one; `none`: no cache was asked. */
export const CACHE_COUNTS = [
  "hit",
  "stale",
  "uri-miss",
  "vary-miss",
  "validated",
  "replaced",
  "collapsed",
  "bypass",
  "refused",
  "failed",
  "none",
] as const;

/** Requests by the class of their status; `unanswered`: whoever asked left before there was one. */
export const STATUS_COUNTS = ["1xx", "2xx", "3xx", "4xx", "5xx", "unanswered"] as const;

/** Content: to user agents; from the site's upstream, from other edges and from the origin. */
export const BYTE_COUNTS = ["sentBytes", "upstreamBytes", "peerBytes", "originBytes"] as const;

export const USAGE_COUNTS = [...CACHE_COUNTS, ...STATUS_COUNTS, ...BYTE_COUNTS] as const;

export type CacheCount = (typeof CACHE_COUNTS)[number];
export type StatusCount = (typeof STATUS_COUNTS)[number];
export type ByteCount = (typeof BYTE_COUNTS)[number];
export type UsageCount = (typeof USAGE_COUNTS)[number];

/** What is not named is 0. */
export type UsageCounts = Readonly<Partial<Record<UsageCount, number>>>;

export const HOUR_MS = 3_600_000;

/** What one edge has counted of a site in an hour, or in a part of one. */
export interface UsageRecord {
  readonly site: string;
  /** Epoch milliseconds of the hour's begin. */
  readonly hourMs: number;
  readonly counts: UsageCounts;
}

export function hourOf(atMs: number): number {
  return Math.floor(atMs / HOUR_MS) * HOUR_MS;
}

export function addCounts(one: UsageCounts, other: UsageCounts): UsageCounts {
  const sum: Partial<Record<UsageCount, number>> = {};
  for (const name of USAGE_COUNTS) {
    const count = (one[name] ?? 0) + (other[name] ?? 0);
    if (count > 0) sum[name] = count;
  }
  return sum;
}

const SITE = new RegExp(NAME_PATTERN);

/** Counts of other names are of a later version, and left out; `undefined` for what is no record of usage. */
export function parseUsageRecord(value: unknown): UsageRecord | undefined {
  const { site, hourMs, counts } = fieldsOf(value);
  if (typeof site !== "string" || !SITE.test(site)) return undefined;
  if (typeof hourMs !== "number" || !isCount(hourMs) || hourMs % HOUR_MS !== 0) return undefined;
  const known: Partial<Record<UsageCount, number>> = {};
  const given = fieldsOf(counts);
  for (const name of USAGE_COUNTS) {
    const count = given[name];
    if (count === undefined) continue;
    if (!isCount(count)) return undefined;
    known[name] = count;
  }
  return { site, hourMs, counts: known };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : {};
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
