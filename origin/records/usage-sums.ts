/** What sites were used, summed by site and hour over all edges; each record of an edge is counted once. */
import {
  HOUR_MS,
  parseUsageRecord,
  USAGE_COUNTS,
  type UsageCount,
  type UsageCounts,
  type UsageRecord,
} from "#domain/usage/site-usage.ts";
import type { Database } from "#platform/sqlite/database.ts";

/** A year to compare with, and the month that is billed. */
export const USAGE_RETENTION_MS = 400 * 24 * HOUR_MS;

const column = (name: UsageCount): string => `"${name}"`;

export const USAGE_MIGRATIONS = [
  `CREATE TABLE usage (
     site TEXT NOT NULL, hour_ms INTEGER NOT NULL,
     ${USAGE_COUNTS.map((name) => `${column(name)} INTEGER NOT NULL DEFAULT 0`).join(", ")},
     PRIMARY KEY (site, hour_ms)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX usage_by_hour ON usage (hour_ms);
   CREATE TABLE usage_counted (
     node TEXT NOT NULL, incarnation TEXT NOT NULL, number INTEGER NOT NULL, received_at_ms INTEGER NOT NULL,
     PRIMARY KEY (node, incarnation)
   ) STRICT, WITHOUT ROWID;`,
];

export type UsagePeriod = "hour" | "day";

export interface UsageQuery {
  /** All, where it is absent. */
  readonly site?: string | undefined;
  readonly fromMs: number;
  /** Not included. */
  readonly toMs: number;
  readonly per: UsagePeriod;
  readonly rowsMax: number;
}

/** Of an hour or, by UTC, of a day. */
export interface UsageSum {
  readonly site: string;
  readonly fromMs: number;
  readonly counts: UsageCounts;
}

export interface UsageSums {
  /**
   * Within the caller's transaction. An edge numbers the records of each of its lives and sends them in order, so the
   * last number tells those that came before. `undefined`: this is no record of usage.
   */
  add(
    node: string,
    report: { readonly id: string; readonly json: string },
    nowMs: number,
  ): "added" | "known" | undefined;
  /** Oldest first, by site; no more than `rowsMax`. */
  read(query: UsageQuery): readonly UsageSum[];
  prune(beforeMs: number): void;
}

const PERIOD_MS: Readonly<Record<UsagePeriod, number>> = { hour: HOUR_MS, day: 24 * HOUR_MS };

export function usageOn(database: Database): UsageSums {
  const columns = USAGE_COUNTS.map(column);
  const counted = database.prepare("SELECT number FROM usage_counted WHERE node = ? AND incarnation = ?");
  const count = database.prepare(
    `INSERT INTO usage_counted VALUES (?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET number = excluded.number, received_at_ms = excluded.received_at_ms`,
  );
  const add = database.prepare(
    `INSERT INTO usage (site, hour_ms, ${columns.join(", ")}) VALUES (?, ?, ${columns.map(() => "?").join(", ")})
     ON CONFLICT DO UPDATE SET ${columns.map((name) => `${name} = ${name} + excluded.${name}`).join(", ")}`,
  );
  const read = database.prepare(
    `SELECT site, hour_ms / CAST(?1 AS INTEGER) * CAST(?1 AS INTEGER) AS from_ms, ${columns.map((name) => `sum(${name}) AS ${name}`).join(", ")}
     FROM usage WHERE hour_ms >= ?2 AND hour_ms < ?3 AND (?4 IS NULL OR site = ?4)
     GROUP BY from_ms, site ORDER BY from_ms, site LIMIT ?5`,
  );
  const pruneSums = database.prepare("DELETE FROM usage WHERE hour_ms < ?");
  const pruneCounted = database.prepare("DELETE FROM usage_counted WHERE received_at_ms < ?");
  return {
    add(node, { id, json }, nowMs) {
      const named = nameOf(id);
      const record = recordOf(json);
      if (named === undefined || record === undefined) return undefined;
      const { incarnation, number } = named;
      if (number <= Number(counted.get(node, incarnation)?.["number"] ?? 0)) return "known";
      count.run(node, incarnation, number, Math.floor(nowMs));
      add.run(record.site, record.hourMs, ...USAGE_COUNTS.map((name) => record.counts[name] ?? 0));
      return "added";
    },
    read: ({ site, fromMs, toMs, per, rowsMax }) =>
      read.all(PERIOD_MS[per], fromMs, toMs, site ?? null, rowsMax).map((row) => ({
        site: String(row["site"]),
        fromMs: Number(row["from_ms"]),
        counts: Object.fromEntries(USAGE_COUNTS.map((name) => [name, Number(row[name])])),
      })),
    prune(beforeMs) {
      pruneSums.run(beforeMs);
      pruneCounted.run(beforeMs);
    },
  };
}

/** `usage/INCARNATION/NUMBER` */
function nameOf(id: string): { readonly incarnation: string; readonly number: number } | undefined {
  const [, incarnation, number] = /^usage\/([^/]{1,64})\/([1-9][0-9]{0,14})$/.exec(id) ?? [];
  return incarnation === undefined ? undefined : { incarnation, number: Number(number) };
}

function recordOf(json: string): UsageRecord | undefined {
  try {
    return parseUsageRecord(JSON.parse(json));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}
