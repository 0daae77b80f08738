/** The last that each pool's edges said of what it holds: over a restart the origin knows it until they say it again. */
import Type from "typebox";
import { Value } from "typebox/value";
import type { PoolReport } from "#domain/simulation/pool-reports.ts";
import type { Database } from "#platform/sqlite/database.ts";

export const KEPT_REPORTS_MIGRATIONS = [
  `CREATE TABLE kept_reports (
     pool TEXT PRIMARY KEY, json TEXT NOT NULL, seen_at_ms INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;`,
];

export interface KeptReport {
  readonly report: PoolReport;
  readonly seenAtMs: number;
}

export interface KeptReports {
  /** Of pools that are there; of others everything is forgotten. In one transaction. */
  keep(reports: ReadonlyMap<string, PoolReport>, pools: ReadonlySet<string>, nowMs: number): void;
  /** By pool. */
  list(): ReadonlyMap<string, KeptReport>;
}

const count = Type.Number({ minimum: 0 });
const reportSchema = Type.Object({
  agents: Type.Array(
    Type.Object({
      agent: Type.String(),
      slots: Type.Array(Type.Object({ renderClass: Type.String(), total: count, frameMsP95: count })),
    }),
  ),
  sites: Type.Array(Type.Object({ site: Type.String(), isHeld: Type.Boolean(), releaseBytes: Type.Optional(count) })),
  roomBytes: Type.Optional(count),
});

export function keptReportsOn(database: Database): KeptReports {
  const put = database.prepare("INSERT OR REPLACE INTO kept_reports VALUES (?, ?, ?)");
  const list = database.prepare("SELECT * FROM kept_reports");
  const forget = database.prepare("DELETE FROM kept_reports WHERE pool = ?");
  return {
    keep: (reports, pools, nowMs) =>
      database.transaction(() => {
        for (const { pool } of list.all()) if (!pools.has(String(pool))) forget.run(String(pool));
        for (const [pool, report] of reports) {
          if (pools.has(pool)) put.run(pool, JSON.stringify(report), Math.floor(nowMs));
        }
      }),
    // What another version kept and this one does not understand is not known.
    list: () =>
      new Map(
        list.all().flatMap(({ pool, json, seen_at_ms: seenAtMs }): [string, KeptReport][] => {
          const report: unknown = JSON.parse(String(json));
          return Value.Check(reportSchema, report) ? [[String(pool), { report, seenAtMs: Number(seenAtMs) }]] : [];
        }),
      ),
  };
}
