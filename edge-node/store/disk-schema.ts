/** The tables of the disk's index, and the statements on them. */
import type { Database } from "#platform/sqlite/database.ts";

export const MIGRATIONS = [
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
  `DROP INDEX responses_used;
   ALTER TABLE responses DROP COLUMN used_ms;
   ALTER TABLE responses ADD COLUMN frequency INTEGER NOT NULL DEFAULT 1;
   ALTER TABLE responses ADD COLUMN priority REAL NOT NULL DEFAULT 0;
   CREATE INDEX responses_priority ON responses (priority, bytes);
   CREATE TABLE purges (id INTEGER PRIMARY KEY AUTOINCREMENT, purge_order TEXT NOT NULL) STRICT;`,
];

export type Statements = ReturnType<typeof prepareStatements>;

export function prepareStatements(database: Database) {
  return { ...prepareRows(database), ...prepareWorth(database), ...preparePurges(database) };
}

function prepareRows(database: Database) {
  return {
    file: database.prepare("SELECT id FROM responses WHERE file = ?"),
    row: database.prepare("SELECT 1 FROM responses WHERE id = ?"),
    any: database.prepare("SELECT 1 FROM responses WHERE cache_key = ? LIMIT 1"),
    find: database.prepare("SELECT * FROM responses WHERE cache_key = ? AND slice IS ? ORDER BY id"),
    target: database.prepare("SELECT id FROM responses WHERE cache_key = ?"),
    insert: database.prepare(
      `INSERT INTO responses (cache_key, slice, site, key, variant, head, file, body_bytes, slices, digest, bytes, requested_ms, frequency, priority)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    update: database.prepare(
      "UPDATE responses SET head = ?, digest = ?, requested_ms = ?, soft_ms = NULL WHERE id = ?",
    ),
    tag: database.prepare("INSERT OR IGNORE INTO tags (tag, response) VALUES (?, ?)"),
    untag: database.prepare("DELETE FROM tags WHERE response = ?"),
    delete: database.prepare("DELETE FROM responses WHERE id = ? RETURNING file, bytes"),
    /** A transaction that writes nothing: whether the file can be written, and is ours. */
    lock: database.prepare("UPDATE responses SET bytes = bytes WHERE id < 0"),
  };
}

function prepareWorth(database: Database) {
  return {
    usage: database.prepare("SELECT coalesce(sum(bytes), 0) AS bytes, count(*) AS objects FROM responses"),
    least: database.prepare("SELECT coalesce(min(priority), 0) AS priority FROM responses"),
    worthLeast: database.prepare(
      "SELECT id, cache_key, variant, slice, bytes, frequency, priority FROM responses ORDER BY priority LIMIT ?",
    ),
    uses: database.prepare("SELECT id, bytes, frequency FROM responses WHERE cache_key = ? AND slice IS ?"),
    used: database.prepare("UPDATE responses SET frequency = ?, priority = ? WHERE id = ?"),
  };
}

/** Each answers some rows after those it was given last, those that are too new for the purge among them. */
function preparePurges(database: Database) {
  return {
    addOrder: database.prepare("INSERT INTO purges (purge_order) VALUES (?)"),
    orders: database.prepare("SELECT id, purge_order FROM purges ORDER BY id"),
    endOrder: database.prepare("DELETE FROM purges WHERE id = ?"),
    soften: database.prepare("UPDATE responses SET soft_ms = min(coalesce(soft_ms, ?1), ?1) WHERE id = ?2"),
    after: database.prepare("SELECT id, key, requested_ms FROM responses WHERE id > ? ORDER BY id LIMIT ?"),
    ofPath: database.prepare(
      "SELECT id, key, requested_ms FROM responses WHERE site = ? AND key = ? AND id > ? ORDER BY id LIMIT ?",
    ),
    ofPrefix: database.prepare(
      `SELECT id, key, requested_ms FROM responses INDEXED BY responses_site
       WHERE site = ? AND (key, id) > (?, ?) ORDER BY key, id LIMIT ?`,
    ),
    ofTag: database.prepare(
      `SELECT response AS id, key, site, requested_ms FROM tags JOIN responses ON id = response
       WHERE tag = ? AND response > ? ORDER BY response LIMIT ?`,
    ),
  };
}
