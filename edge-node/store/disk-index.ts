/** Which responses are on disk: rows in SQLite. A row's commit is what makes a body stored, its removal what drops it. */
import { createHash } from "node:crypto";
import type { PurgeSpec } from "#domain/content/purge.ts";
import { type Database, openDatabase } from "#platform/sqlite/database.ts";
import type { BodySeal } from "./body-file.ts";
import { formatHead, parseHead } from "./head-text.ts";
import { TARGET_VARIANTS_MAX } from "./memory-tier.ts";
import { cacheKeyOf, type ResponseHead, softened, tagsOf } from "./stored-response.ts";

const MIGRATIONS = [
  `CREATE TABLE responses (
     id INTEGER PRIMARY KEY AUTOINCREMENT, cache_key TEXT NOT NULL, site TEXT NOT NULL, key TEXT NOT NULL, variant TEXT NOT NULL,
     head TEXT NOT NULL, soft_ms INTEGER, file TEXT NOT NULL, body_bytes INTEGER NOT NULL, slices BLOB NOT NULL,
     digest BLOB NOT NULL, bytes INTEGER NOT NULL, requested_ms INTEGER NOT NULL, used_ms INTEGER NOT NULL) STRICT;
   CREATE INDEX responses_key ON responses (cache_key);
   CREATE INDEX responses_site ON responses (site, key);
   CREATE INDEX responses_used ON responses (used_ms, bytes);
   CREATE UNIQUE INDEX responses_file ON responses (file);
   CREATE TABLE tags (
     tag TEXT NOT NULL, response INTEGER NOT NULL REFERENCES responses (id) ON DELETE CASCADE,
     PRIMARY KEY (tag, response)) STRICT, WITHOUT ROWID;
   CREATE INDEX tags_response ON tags (response);`,
  `DELETE FROM responses;
   ALTER TABLE responses ADD COLUMN slice INTEGER;
   DROP INDEX responses_key;
   CREATE INDEX responses_key ON responses (cache_key, slice);`,
];

/** Files have whole blocks. */
const BLOCK_BYTES = 4096;
/** Evicted in one transaction. */
const EVICTED_AT_ONCE = 64;

export interface IndexedResponse extends BodySeal {
  readonly id: number;
  readonly head: ResponseHead;
  readonly file: string;
  readonly bytes: number;
}

/** A row whose body is to be removed. */
export interface DroppedRow {
  readonly file: string;
  readonly bytes: number;
}

export class DiskIndex implements Disposable {
  readonly #database: Database;
  readonly #statements: ReturnType<typeof prepare>;

  /** Throws `storage-failed` where the file is no index or another process has it. */
  constructor(path: string) {
    this.#database = openDatabase(path, { migrations: MIGRATIONS, durability: "normal" });
    try {
      this.#database.exec("PRAGMA locking_mode = EXCLUSIVE");
      this.#database.transaction(() => this.#database.exec("UPDATE responses SET used_ms = used_ms WHERE id < 0"));
      this.#statements = prepare(this.#database);
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  usage(): { readonly bytes: number; readonly objects: number } {
    const row = this.#statements.usage.get() ?? {};
    return { bytes: Number(row["bytes"]), objects: Number(row["objects"]) };
  }

  has(cacheKey: string): boolean {
    return this.#statements.any.get(cacheKey) !== undefined;
  }

  hasFile(file: string): boolean {
    return this.#statements.file.get(file) !== undefined;
  }

  /** All variants of the whole or of one slice, the latest last; `faulty` are the rows that are not what was written. */
  find(
    cacheKey: string,
    slice?: number,
  ): { readonly found: readonly IndexedResponse[]; readonly faulty: readonly number[] } {
    const found: IndexedResponse[] = [];
    const faulty: number[] = [];
    for (const row of this.#statements.find.all(cacheKey, slice ?? null)) {
      const response = responseOf(row);
      if (response === undefined) faulty.push(Number(row["id"]));
      else found.push(response);
    }
    return { found, faulty };
  }

  /** What it takes the place of, and the oldest of too many variants, is dropped. */
  insert(head: ResponseHead, file: string, seal: BodySeal): { readonly bytes: number; readonly dropped: DroppedRow[] } {
    const text = formatHead(head);
    const { site, key, slice, variant, requestedAtMs } = head;
    const cacheKey = cacheKeyOf(head);
    const bytes = bytesOnDisk(head, seal);
    const digest = digestOf(text, head, seal);
    return this.#database.transaction(() => {
      const old = this.find(cacheKey, slice);
      const same = old.found.filter(({ head: other }) => isSameVariant(other, head));
      const others = old.found.filter((row) => !same.includes(row));
      const tooMany = others.slice(0, Math.max(0, others.length + 1 - TARGET_VARIANTS_MAX));
      const dropped = this.#delete([...old.faulty, ...[...same, ...tooMany].map(({ id }) => id)]);
      const { lastInsertRowid } = this.#statements.insert.run(
        ...[cacheKey, slice ?? null, site, key, variant, text, file, seal.bodyBytes],
        ...[seal.slices, digest, bytes, requestedAtMs, requestedAtMs],
      );
      for (const tag of tagsOf(head.fields)) this.#statements.tag.run(tag, lastInsertRowid);
      return { bytes, dropped };
    });
  }

  /** After a successful validation: another head for the same body. */
  update(head: ResponseHead): void {
    const text = formatHead(head);
    const row = this.find(cacheKeyOf(head), head.slice).found.find((other) => isSameVariant(other.head, head));
    if (row === undefined) return;
    const { id } = row;
    const digest = digestOf(text, head, row);
    this.#database.transaction(() => {
      this.#statements.update.run(text, digest, head.requestedAtMs, id);
      this.#statements.untag.run(id);
      for (const tag of tagsOf(head.fields)) this.#statements.tag.run(tag, id);
    });
  }

  drop(ids: readonly number[]): DroppedRow[] {
    return this.#database.transaction(() => this.#delete(ids));
  }

  remove(cacheKey: string): DroppedRow[] {
    return this.#database.transaction(() =>
      this.#delete(this.#statements.target.all(cacheKey).map((row) => Number(row["id"]))),
    );
  }

  /** The least recently used, `bytes` of them or some more. */
  evict(bytes: number): DroppedRow[] {
    return this.#database.transaction(() => {
      const dropped: DroppedRow[] = [];
      let freed = 0;
      for (const row of this.#statements.oldest.all(EVICTED_AT_ONCE)) {
        if (freed >= bytes) break;
        freed += Number(row["bytes"]);
        dropped.push(...this.#delete([Number(row["id"])]));
      }
      return dropped;
    });
  }

  touch(cacheKeys: Iterable<string>, nowMs: number): void {
    this.#database.transaction(() => {
      for (const cacheKey of cacheKeys) this.#statements.touch.run(nowMs, cacheKey);
    });
  }

  /** Softly: the rows stay, stale. */
  purge(spec: PurgeSpec): { readonly count: number; readonly dropped: DroppedRow[] } {
    return this.#database.transaction(() => {
      const ids = [...new Set(this.#named(spec))];
      if (!spec.soft) return { count: ids.length, dropped: this.#delete(ids) };
      for (const id of ids) this.#statements.soften.run(spec.atMs, id);
      return { count: ids.length, dropped: [] };
    });
  }

  expireBefore(atMs: number): DroppedRow[] {
    return this.drop(this.#statements.before.all(atMs).map((row) => Number(row["id"])));
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #named({ site, match, atMs }: PurgeSpec): readonly number[] {
    const { all, path, prefix, tagged } = this.#statements;
    const rows = () => {
      switch (match.kind) {
        case "all":
          return all.all(site, atMs);
        case "paths":
          return match.paths.flatMap((name) => path.all(site, name, atMs));
        case "prefix":
          return prefix.all(site, match.prefix, match.prefix, match.prefix, atMs);
        case "tags":
          return match.tags.flatMap((tag) => tagged.all(tag, site, atMs));
      }
    };
    return rows().map((row) => Number(row["id"]));
  }

  #delete(ids: readonly number[]): DroppedRow[] {
    return ids.flatMap((id) => {
      const row = this.#statements.delete.get(id);
      return row === undefined ? [] : [{ file: String(row["file"]), bytes: Number(row["bytes"]) }];
    });
  }
}

/** The body in whole blocks, and what the row has of the response. */
export function bytesOnDisk(head: ResponseHead, { bodyBytes, slices }: BodySeal): number {
  const rowBytes = Buffer.byteLength(formatHead(head)) + head.key.length + head.variant.length + slices.byteLength;
  return Math.ceil(bodyBytes / BLOCK_BYTES) * BLOCK_BYTES + rowBytes;
}

function prepare(database: Database) {
  return {
    usage: database.prepare("SELECT coalesce(sum(bytes), 0) AS bytes, count(*) AS objects FROM responses"),
    file: database.prepare("SELECT id FROM responses WHERE file = ?"),
    any: database.prepare("SELECT 1 FROM responses WHERE cache_key = ? LIMIT 1"),
    find: database.prepare("SELECT * FROM responses WHERE cache_key = ? AND slice IS ? ORDER BY id"),
    target: database.prepare("SELECT id FROM responses WHERE cache_key = ?"),
    insert: database.prepare(
      `INSERT INTO responses (cache_key, slice, site, key, variant, head, file, body_bytes, slices, digest, bytes, requested_ms, used_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    update: database.prepare(
      "UPDATE responses SET head = ?, digest = ?, requested_ms = ?, soft_ms = NULL WHERE id = ?",
    ),
    tag: database.prepare("INSERT OR IGNORE INTO tags (tag, response) VALUES (?, ?)"),
    untag: database.prepare("DELETE FROM tags WHERE response = ?"),
    delete: database.prepare("DELETE FROM responses WHERE id = ? RETURNING file, bytes"),
    oldest: database.prepare("SELECT id, bytes FROM responses ORDER BY used_ms LIMIT ?"),
    touch: database.prepare("UPDATE responses SET used_ms = ? WHERE cache_key = ?"),
    soften: database.prepare("UPDATE responses SET soft_ms = min(coalesce(soft_ms, ?1), ?1) WHERE id = ?2"),
    all: database.prepare("SELECT id FROM responses WHERE site = ? AND requested_ms < ?"),
    before: database.prepare("SELECT id FROM responses WHERE requested_ms < ?"),
    path: database.prepare("SELECT id FROM responses WHERE site = ? AND key = ? AND requested_ms < ?"),
    prefix: database.prepare(
      "SELECT id FROM responses WHERE site = ? AND key >= ? AND substr(key, 1, length(?)) = ? AND requested_ms < ?",
    ),
    tagged: database.prepare(
      "SELECT response AS id FROM tags JOIN responses ON id = response WHERE tag = ? AND site = ? AND requested_ms < ?",
    ),
  };
}

/** `undefined` where the row is not what was written. */
function responseOf(row: Readonly<Record<string, unknown>>): IndexedResponse | undefined {
  const { id, site, key, variant, head: text, soft_ms: softMs, file, slices, digest } = row;
  if (typeof text !== "string" || typeof site !== "string" || typeof key !== "string") return undefined;
  if (typeof variant !== "string" || typeof file !== "string") return undefined;
  if (!(slices instanceof Uint8Array) || !(digest instanceof Uint8Array)) return undefined;
  const seal = { bodyBytes: Number(row["body_bytes"]), slices };
  const parsed = parseHead(text);
  if (parsed === undefined) return undefined;
  const slice = typeof row["slice"] === "number" ? { slice: row["slice"] } : {};
  const named = { site, webOrigin: parsed.webOrigin, key, variant, ...slice };
  if (!digestOf(text, named, seal).equals(digest)) return undefined;
  const freshness = typeof softMs === "number" ? softened(parsed.freshness, softMs) : parsed.freshness;
  const head = { ...parsed, freshness, ...named };
  return { ...seal, id: Number(id), head, file, bytes: Number(row["bytes"]) };
}

/** Over all that an answer is made of, so that a row which the disk has changed is seen. */
function digestOf(
  text: string,
  head: Pick<ResponseHead, "site" | "webOrigin" | "key" | "slice" | "variant">,
  { bodyBytes, slices }: BodySeal,
): Buffer {
  const named = [text, cacheKeyOf(head), head.slice, head.variant, bodyBytes];
  const hash = createHash("sha256").update(JSON.stringify(named));
  return hash.update(slices).digest();
}

function isSameVariant(a: ResponseHead, b: ResponseHead): boolean {
  return a.variant === b.variant && a.varyNames.join() === b.varyNames.join();
}
