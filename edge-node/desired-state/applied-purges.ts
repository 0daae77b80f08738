/** Which purges were applied to the store: each once, also across restarts; forgotten with their resource. */
import { PURGE_RETENTION_MS, type PurgeSpec } from "#domain/content/purge.ts";
import { type Failure, isFailure } from "#domain/failure.ts";
import type { Resource } from "#domain/resource.ts";
import type { Database, Row } from "#platform/sqlite/database.ts";

export const APPLIED_PURGES_MIGRATIONS = [
  "CREATE TABLE applied (name TEXT PRIMARY KEY, resource_version INTEGER NOT NULL) STRICT",
  "CREATE TABLE mark (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, revision INTEGER NOT NULL) STRICT",
  // Where no mark says it, the epoch is that of a log which was never restored.
  `ALTER TABLE applied ADD COLUMN epoch INTEGER NOT NULL DEFAULT 1;
   UPDATE applied SET epoch = coalesce((SELECT epoch FROM mark), 1)`,
];

/** A place in the log's order; as a mark, how far purges are applied: everything up to it. */
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
  readonly #onWriteFailed: (failure: Failure) => void;
  /** By name, of which epoch's log; a log that was restored may give a revision to another purge of the same name. */
  readonly #applied: Map<string, PurgeMark>;
  /** Names that the disk knows otherwise. */
  readonly #unwritten = new Set<string>();
  #mark: PurgeMark = { epoch: 0, revision: 0 };
  #writtenMark = this.#mark;

  constructor(database: Database, onWriteFailed: (failure: Failure) => void) {
    this.#database = database;
    this.#onWriteFailed = onWriteFailed;
    const rows = database.prepare("SELECT name, resource_version, epoch FROM applied").all();
    const appliedIn = (row: Row) => ({ epoch: Number(row["epoch"]), revision: Number(row["resource_version"]) });
    this.#applied = new Map(rows.map((row) => [String(row["name"]), appliedIn(row)]));
    const mark = database.prepare("SELECT epoch, revision FROM mark").get();
    if (mark !== undefined) this.#mark = { epoch: Number(mark["epoch"]), revision: Number(mark["revision"]) };
    this.#writtenMark = this.#mark;
  }

  /** Outlives the purges that it counts: a node is not behind because a purge was forgotten. */
  get mark(): PurgeMark {
    return this.#mark;
  }

  /**
   * All of the set of an epoch of the log. Marked after it was applied: a crash between the two applies it again, which
   * changes nothing. What the disk does not take is written with the next.
   */
  apply(epoch: number, purges: readonly Resource<"Purge">[], purge: (spec: PurgeSpec) => void): void {
    // A set's own order is not the log's: a resource that is written again keeps its place, a snapshot goes by names.
    const inOrder = [...purges].sort((a, b) => a.metadata.resourceVersion - b.metadata.resourceVersion);
    for (const { metadata, spec } of inOrder) {
      const { name, resourceVersion } = metadata;
      const applied = this.#applied.get(name);
      if (applied?.epoch === epoch && applied.revision === resourceVersion) continue;
      purge(spec);
      this.#applied.set(name, { epoch, revision: resourceVersion });
      this.#unwritten.add(name);
    }
    const retained = new Set(purges.map(({ metadata }) => metadata.name));
    for (const name of [...this.#applied.keys()]) if (!retained.has(name)) this.#forget(name);
    const mark = { epoch, revision: inOrder.at(-1)?.metadata.resourceVersion ?? 0 };
    if (isBehind(this.#mark, mark)) this.#mark = mark;
    this.#write();
  }

  #forget(name: string): void {
    this.#applied.delete(name);
    this.#unwritten.add(name);
  }

  #write(): void {
    if (this.#unwritten.size === 0 && this.#writtenMark === this.#mark) return;
    try {
      this.#database.transaction(() => this.#writeAll());
    } catch (error) {
      if (!isFailure(error)) throw error;
      this.#onWriteFailed(error);
      return;
    }
    this.#unwritten.clear();
    this.#writtenMark = this.#mark;
  }

  #writeAll(): void {
    const insert = this.#database.prepare(
      "INSERT OR REPLACE INTO applied (name, resource_version, epoch) VALUES (?, ?, ?)",
    );
    const forget = this.#database.prepare("DELETE FROM applied WHERE name = ?");
    for (const name of this.#unwritten) {
      const applied = this.#applied.get(name);
      if (applied === undefined) forget.run(name);
      else insert.run(name, applied.revision, applied.epoch);
    }
    this.#database.prepare("INSERT OR REPLACE INTO mark VALUES (1, ?, ?)").run(this.#mark.epoch, this.#mark.revision);
  }
}

/**
 * Which stored responses a purge may have named that was forgotten before this node was back: those stored before the
 * time. `undefined` where none was.
 */
export function decideExpiry(cutOffMs: number, nowMs: number): number | undefined {
  return cutOffMs > PURGE_RETENTION_MS ? nowMs - PURGE_RETENTION_MS : undefined;
}
