/** Records: what nodes report once and for all (sessions ended, transitions); append-only, kept once by their id. Usage is summed. */

import { fromUint64 } from "#contracts/codec/numbers.ts";
import type { Report } from "#contracts/generated/perigee/v1/node_pb.js";
import { type Database, openDatabase } from "#platform/sqlite/database.ts";
import { KEPT_REPORTS_MIGRATIONS, type KeptReports, keptReportsOn } from "./kept-reports.ts";
import { POLICY_REVISIONS_MIGRATIONS, type PolicyRevisions, policyRevisionsOn } from "./policy-revisions.ts";
import { USAGE_MIGRATIONS, type UsageSums, usageOn } from "./usage-sums.ts";

/** How long records are kept, from when they came: the outage that they are of may have been longer. */
export const RECORD_RETENTION_MS = 30 * 86_400_000;

export interface Records extends Disposable {
  /** In one transaction; a report whose id is known changes nothing. Gives how many were new. */
  append(node: string, reports: readonly Pick<Report, "id" | "kind" | "atMs" | "json">[], nowMs: number): number;
  count(): number;
  /** Forgets what came before the time. */
  prune(beforeMs: number): void;
  readonly usage: Pick<UsageSums, "read" | "prune">;
  readonly policies: PolicyRevisions;
  readonly reports: KeptReports;
}

export const RECORDS_MIGRATIONS = [
  `CREATE TABLE records (
     node TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, at_ms INTEGER NOT NULL, json TEXT NOT NULL,
     PRIMARY KEY (node, id)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX records_by_time ON records (at_ms);`,
  `ALTER TABLE records ADD COLUMN received_at_ms INTEGER NOT NULL DEFAULT 0;
   UPDATE records SET received_at_ms = at_ms;
   DROP INDEX records_by_time;
   CREATE INDEX records_by_receipt ON records (received_at_ms);`,
  ...USAGE_MIGRATIONS,
  ...POLICY_REVISIONS_MIGRATIONS,
  ...KEPT_REPORTS_MIGRATIONS,
];

export function openRecords(path: string): Records {
  return recordsOn(openDatabase(path, { migrations: RECORDS_MIGRATIONS, durability: "full" }));
}

/** The database is the records' to close. */
export function recordsOn(database: Database): Records {
  const insert = database.prepare("INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?, ?)");
  const count = database.prepare("SELECT count(*) AS count FROM records");
  const usage = usageOn(database);
  const prune = database.prepare("DELETE FROM records WHERE received_at_ms < ?");
  return {
    append: (node, reports, nowMs) =>
      database.transaction(() => {
        let added = 0;
        for (const { id, kind, atMs, json } of reports) {
          const text = Buffer.from(json).toString();
          const summed = kind === "usage" ? usage.add(node, { id, json: text }, nowMs) : undefined;
          if (summed !== undefined) {
            added += summed === "added" ? 1 : 0;
            continue;
          }
          added += Number(insert.run(node, id, kind, fromUint64(atMs, "report time"), text, Math.floor(nowMs)).changes);
        }
        return added;
      }),
    count: () => Number(count.get()?.["count"]),
    prune: (beforeMs) => void prune.run(beforeMs),
    usage,
    policies: policyRevisionsOn(database),
    reports: keptReportsOn(database),
    [Symbol.dispose]: () => database.close(),
  };
}
