/** Which purges were applied to the store: each once, also across restarts; forgotten with their resource. */
import { PURGE_RETENTION_MS, type PurgeSpec } from "#domain/content/purge.ts";
import type { Resource } from "#domain/resource.ts";
import type { Database } from "#platform/sqlite/database.ts";

export const APPLIED_PURGES_MIGRATIONS = [
  "CREATE TABLE applied (name TEXT PRIMARY KEY, resource_version INTEGER NOT NULL) STRICT",
];

export class AppliedPurges {
  readonly #database: Database;
  readonly #applied: Map<string, number>;

  constructor(database: Database) {
    this.#database = database;
    const rows = database.prepare("SELECT name, resource_version FROM applied").all();
    this.#applied = new Map(rows.map((row) => [String(row["name"]), Number(row["resource_version"])]));
  }

  /** Marked after it was applied: a crash between the two applies it again, which changes nothing. */
  apply(purges: readonly Resource<"Purge">[], purge: (spec: PurgeSpec) => void): void {
    for (const { metadata, spec } of purges) {
      const { name, resourceVersion } = metadata;
      if (this.#applied.get(name) === resourceVersion) continue;
      purge(spec);
      this.#database.prepare("INSERT OR REPLACE INTO applied VALUES (?, ?)").run(name, resourceVersion);
      this.#applied.set(name, resourceVersion);
    }
    const retained = new Set(purges.map(({ metadata }) => metadata.name));
    for (const name of [...this.#applied.keys()]) if (!retained.has(name)) this.#forget(name);
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
