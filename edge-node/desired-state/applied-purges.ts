/** Which purges were applied to the store: each once, also across restarts; forgotten with their resource. */
import { PURGE_RETENTION_MS, type PurgeSpec } from "#domain/content/purge.ts";
import type { Resource } from "#domain/resource.ts";
import type { Database } from "#platform/sqlite/database.ts";

export const APPLIED_PURGES_MIGRATIONS = [
  "CREATE TABLE applied (name TEXT PRIMARY KEY, resource_version INTEGER NOT NULL) STRICT",
  "CREATE TABLE mark (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, revision INTEGER NOT NULL) STRICT",
];

/** How far purges are applied: everything up to it, in the order of the log. */
export interface PurgeMark {
  readonly epoch: number;
  /** Of the newest purge that ever was; 0 before the first. */
  readonly revision: number;
}

export function isBehind(own: PurgeMark, other: PurgeMark): boolean {
  return own.epoch < other.epoch || (own.epoch === other.epoch && own.revision < other.revision);
}

export class AppliedPurges {
  readonly #database: Database;
  readonly #applied: Map<string, number>;
  #mark: PurgeMark = { epoch: 0, revision: 0 };

  constructor(database: Database) {
    this.#database = database;
    const rows = database.prepare("SELECT name, resource_version FROM applied").all();
    this.#applied = new Map(rows.map((row) => [String(row["name"]), Number(row["resource_version"])]));
    const mark = database.prepare("SELECT epoch, revision FROM mark").get();
    if (mark !== undefined) this.#mark = { epoch: Number(mark["epoch"]), revision: Number(mark["revision"]) };
  }

  /** Outlives the purges that it counts: a node is not behind because a purge was forgotten. */
  get mark(): PurgeMark {
    return this.#mark;
  }

  /**
   * All of the set of an epoch of the log. Marked after it was applied: a crash between the two applies it again, which
   * changes nothing.
   */
  apply(epoch: number, purges: readonly Resource<"Purge">[], purge: (spec: PurgeSpec) => void): void {
    // A set's own order is not the log's: a resource that is written again keeps its place, a snapshot goes by names.
    const inOrder = [...purges].sort((a, b) => a.metadata.resourceVersion - b.metadata.resourceVersion);
    for (const { metadata, spec } of inOrder) {
      const { name, resourceVersion } = metadata;
      if (this.#applied.get(name) === resourceVersion) continue;
      purge(spec);
      this.#database.prepare("INSERT OR REPLACE INTO applied VALUES (?, ?)").run(name, resourceVersion);
      this.#applied.set(name, resourceVersion);
    }
    const retained = new Set(purges.map(({ metadata }) => metadata.name));
    for (const name of [...this.#applied.keys()]) if (!retained.has(name)) this.#forget(name);
    this.#raise({ epoch, revision: Math.max(0, ...purges.map(({ metadata }) => metadata.resourceVersion)) });
  }

  #raise(mark: PurgeMark): void {
    if (!isBehind(this.#mark, mark)) return;
    this.#database.prepare("INSERT OR REPLACE INTO mark VALUES (1, ?, ?)").run(mark.epoch, mark.revision);
    this.#mark = mark;
  }

  #forget(name: string): void {
    this.#database.prepare("DELETE FROM applied WHERE name = ?").run(name);
    this.#applied.delete(name);
  }
}

/**
 * Which stored responses a purge may have named that was forgotten before this node was back: those stored before the
 * time. `undefined` where none was.
 */
export function decideExpiry(cutOffMs: number, nowMs: number): number | undefined {
  return cutOffMs > PURGE_RETENTION_MS ? nowMs - PURGE_RETENTION_MS : undefined;
}
