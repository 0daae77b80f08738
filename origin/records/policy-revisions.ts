/** The last revisions of each policy, kept after the log has forgotten them. */
import { assert } from "#domain/assert.ts";
import { isKind, type Kind } from "#domain/resource.ts";
import type { Database } from "#platform/sqlite/database.ts";
import type { LogRow, ResourceLog } from "../log/resource-log.ts";

/** Of one policy; the oldest goes. A year of a change a week. */
export const POLICY_REVISIONS_MAX = 50;
/** Kinds whose earlier words an operator wants back. */
export const REVISED_KINDS = ["PlacementPolicy", "ContentPolicy", "RolloutPolicy"] as const satisfies readonly Kind[];
/** Rows read of the log at once. */
const PAGE_ROWS = 256;

export const POLICY_REVISIONS_MIGRATIONS = [
  `CREATE TABLE policy_revisions (
     kind TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL,
     deleted INTEGER NOT NULL, json TEXT NOT NULL, seen_at_ms INTEGER NOT NULL,
     PRIMARY KEY (kind, name, revision)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE policy_revisions_read (of TEXT PRIMARY KEY, revision INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   INSERT INTO policy_revisions_read VALUES ('log', 0);`,
];

export interface PolicyRevision extends LogRow {
  /** When this origin first read it of the log: soon after it was written, by whichever origin. */
  readonly seenAtMs: number;
}

export interface PolicyRevisions {
  /** Takes what the log has since the last time: before each compaction, and before they are read. */
  follow(log: ResourceLog, nowMs: number): void;
  /** The newest first. */
  list(kind: Kind, name: string): readonly PolicyRevision[];
  find(kind: Kind, name: string, revision: number): PolicyRevision | undefined;
}

export function policyRevisionsOn(database: Database): PolicyRevisions {
  const insert = database.prepare("INSERT OR IGNORE INTO policy_revisions VALUES (?, ?, ?, ?, ?, ?)");
  const prune = database.prepare(
    `DELETE FROM policy_revisions WHERE kind = ? AND name = ? AND revision NOT IN (
       SELECT revision FROM policy_revisions WHERE kind = ? AND name = ? ORDER BY revision DESC LIMIT ?)`,
  );
  const read = database.prepare("SELECT revision FROM policy_revisions_read");
  const setRead = database.prepare("UPDATE policy_revisions_read SET revision = ?");
  const list = database.prepare("SELECT * FROM policy_revisions WHERE kind = ? AND name = ? ORDER BY revision DESC");
  const find = database.prepare("SELECT * FROM policy_revisions WHERE kind = ? AND name = ? AND revision = ?");
  const keep = (rows: readonly LogRow[], nowMs: number): void => {
    for (const { kind, name, revision, deleted, json } of rows) {
      if (!isRevised(kind)) continue;
      insert.run(kind, name, revision, deleted ? 1 : 0, json, Math.floor(nowMs));
      prune.run(kind, name, kind, name, POLICY_REVISIONS_MAX);
    }
  };
  return {
    follow: (log, nowMs) =>
      database.transaction(() => {
        let cursor = Number(read.get()?.["revision"]);
        if (cursor < log.compactedRevision() || cursor > log.revision()) {
          // What came between is forgotten, or another history: the newest of each is there.
          keep(log.list().rows, nowMs);
          cursor = log.compactedRevision();
        }
        for (;;) {
          const rows = log.changesAfter(cursor, PAGE_ROWS);
          const last = rows.at(-1);
          if (last === undefined) break;
          keep(rows, nowMs);
          cursor = last.revision;
        }
        setRead.run(cursor);
      }),
    list: (kind, name) => list.all(kind, name).map(revisionOf),
    find(kind, name, revision) {
      const row = find.get(kind, name, revision);
      return row === undefined ? undefined : revisionOf(row);
    },
  };
}

export function isRevised(kind: Kind): boolean {
  return REVISED_KINDS.some((revised) => revised === kind);
}

function revisionOf(columns: Readonly<Record<string, unknown>>): PolicyRevision {
  const { kind, name, revision, deleted, json, seen_at_ms: seenAtMs } = columns;
  assert(typeof kind === "string" && isKind(kind) && typeof name === "string", "a kept revision is of a resource");
  assert(typeof json === "string" && typeof revision === "number", "a kept revision has its number and JSON");
  return { kind, name, revision, deleted: deleted === 1, json, seenAtMs: Number(seenAtMs) };
}
