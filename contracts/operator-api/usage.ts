/** `GET /v1/usage`: what sites were used, by hour or day; and how it is said. Pure. */
import Type, { type Static } from "typebox";
import { NAME_PATTERN } from "#domain/ids.ts";
import { CACHE_COUNTS, STATUS_COUNTS, type UsageCount, type UsageCounts } from "#domain/usage/site-usage.ts";

/** Sites times hours, or days: a month of hours of thirteen sites. */
export const USAGE_ROWS_MAX = 10_000;

const closed = { additionalProperties: false };
const time = (description: string) =>
  Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description }));
const count = Type.Integer({ minimum: 0 });
const bytes = (description: string) => Type.Integer({ minimum: 0, description });

export const usageQuerySchema = Type.Object(
  {
    site: Type.Optional(Type.String({ pattern: NAME_PATTERN, description: "every site, where it is absent" })),
    fromMs: time("a day before the end where it is absent, or 30 of them for sums of days"),
    toMs: time("not included; now where it is absent"),
    per: Type.Enum(["hour", "day"], { default: "hour", description: "days are those of UTC" }),
  },
  closed,
);

export const usageSumSchema = Type.Object(
  {
    site: Type.String(),
    fromMs: Type.Integer({ description: "when the hour or the day began" }),
    requests: count,
    byCache: Type.Record(Type.String(), count, { description: `requests: ${CACHE_COUNTS.join(", ")}` }),
    byStatus: Type.Record(Type.String(), count, { description: `requests: ${STATUS_COUNTS.join(", ")}` }),
    sentBytes: bytes("content sent to user agents"),
    upstreamBytes: bytes("content fetched from the site's upstream"),
    peerBytes: bytes("content fetched from other edges"),
    originBytes: bytes("objects of releases fetched from the origin"),
  },
  closed,
);

/** Oldest first, by site; where nothing was used there is nothing. */
export const usageListSchema = Type.Object({ items: Type.Array(usageSumSchema) }, closed);

export type UsageSumItem = Static<typeof usageSumSchema>;

export function toUsageSum({
  site,
  fromMs,
  counts,
}: {
  site: string;
  fromMs: number;
  counts: UsageCounts;
}): UsageSumItem {
  const { sentBytes = 0, upstreamBytes = 0, peerBytes = 0, originBytes = 0 } = counts;
  const byStatus = pick(counts, STATUS_COUNTS);
  const requests = Object.values(byStatus).reduce((sum, one) => sum + one, 0);
  const byCache = pick(counts, CACHE_COUNTS);
  return { site, fromMs, requests, byCache, byStatus, sentBytes, upstreamBytes, peerBytes, originBytes };
}

function pick(counts: UsageCounts, names: readonly UsageCount[]): Record<string, number> {
  return Object.fromEntries(names.map((name) => [name, counts[name] ?? 0]).filter(([, of]) => of !== 0));
}
