/** Bytes of a database's header that have rotted: it opens whole, or is begun again by name. */
import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import {
  type Database,
  isBrokenDatabase,
  openDatabase,
  openOrBeginAgain,
  SQLITE_CACHE_BYTES_MAX,
} from "#platform/sqlite/database.ts";
import { testFolder } from "#test/test-folder.ts";

const HEADER_BYTES = 100;
const WRITE_VERSION_AT = 18;
const NOTES = 60;
const LETTERS = 400;
const MIGRATIONS = [
  "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT",
  "CREATE INDEX by_text ON notes (text DESC); ALTER TABLE notes ADD COLUMN stars INTEGER NOT NULL DEFAULT 0",
  "UPDATE notes SET stars = stars + 1",
];
const OPTIONS = { migrations: MIGRATIONS, durability: "normal" } as const;
const SUMS = "SELECT count(*) AS notes, total(stars) AS stars, total(length(text)) AS letters FROM notes";

function insertNotes(database: Database): void {
  const insert = database.prepare("INSERT INTO notes (text, stars) VALUES (?, 5)");
  database.transaction(() => {
    for (let note = 0; note < NOTES; note += 1) insert.run(`note ${note} `.padEnd(LETTERS, "é"));
  });
}

const sumsOf = (notes: number) => ({ notes, stars: notes * 5, letters: notes * LETTERS });

/** Of several pages, some of them free. */
function writeDatabase(path: string): void {
  using database = openDatabase(path, OPTIONS);
  for (let times = 0; times < 3; times += 1) insertNotes(database);
  database.prepare("DELETE FROM notes WHERE id > ?").run(NOTES);
}

/** Opened as an edge does it, read, written to and read again. */
function useDatabase(path: string) {
  const damages: unknown[] = [];
  using database = openOrBeginAgain(
    path,
    OPTIONS,
    (opened) => opened,
    (failure) => void damages.push(failure),
  );
  const found = database.prepare(SUMS).get();
  insertNotes(database);
  const after = database.prepare(SUMS).get();
  const soundness = database.prepare("PRAGMA integrity_check(1)").get()?.["integrity_check"];
  const cache = database.prepare("PRAGMA cache_size").get()?.["cache_size"];
  return { damages, found, after, soundness, cache };
}

t.test(
  "whatever byte of the header has rotted, all is as it was, or the database is begun again by name",
  async (t) => {
    const folder = testFolder(t);
    const whole = join(folder, "whole.sqlite");
    writeDatabase(whole);
    const bytes = readFileSync(whole);
    let damaged = 0;
    for (const [at, byte] of bytes.subarray(0, HEADER_BYTES).entries()) {
      for (const rotten of [byte ^ 0x01, byte ^ 0x80]) {
        const path = join(folder, `${at}-${rotten}.sqlite`);
        const what = `byte ${at} of ${byte} is ${rotten}`;
        writeFileSync(path, bytes.with(at, rotten));
        const { damages, found, after, soundness, cache } = useDatabase(path);
        const kept = damages.length === 0 ? NOTES : 0;
        damaged += damages.length;
        t.match(found, sumsOf(kept), what);
        t.match(after, sumsOf(kept + NOTES), what);
        t.same([soundness, cache], ["ok", -SQLITE_CACHE_BYTES_MAX / 1024], what);
        t.ok(damages.every(isBrokenDatabase) && existsSync(`${path}.damaged`) === (kept === 0), what);
      }
    }
    t.ok(damaged > HEADER_BYTES / 2, `${damaged} times it was begun again`);
  },
);

t.test("what the log of a process that was killed has anew is no damage of the file", async (t) => {
  const folder = testFolder(t);
  const [path, killed] = [join(folder, "notes.sqlite"), join(folder, "killed.sqlite")];
  writeDatabase(path);
  using running = openDatabase(path, OPTIONS);
  insertNotes(running);
  copyFileSync(`${path}-wal`, `${killed}-wal`);
  writeFileSync(killed, readFileSync(path).with(WRITE_VERSION_AT, 6));
  const { damages, found, after } = useDatabase(killed);
  t.same(damages, []);
  t.match(found, sumsOf(2 * NOTES));
  t.match(after, sumsOf(3 * NOTES));
});

t.test("a newer program's schema is refused and kept as it is", async (t) => {
  const path = join(testFolder(t), "notes.sqlite");
  openDatabase(path, { ...OPTIONS, migrations: [...MIGRATIONS, "CREATE TABLE more (id INTEGER PRIMARY KEY)"] }).close();
  const bytes = readFileSync(path);
  t.throws(() => useDatabase(path), { code: "storage-failed", message: /has schema 4, .* start the newer program/ });
  t.ok(readFileSync(path).equals(bytes));
  t.notOk(existsSync(`${path}.damaged`));
});

t.test("what programs wrote that said its schema once goes on, and says it twice from then on", async (t) => {
  const folder = testFolder(t);
  const unmark = (name: string, version: number): string => {
    const path = join(folder, `${name}.sqlite`);
    writeDatabase(path);
    using database = openDatabase(path, OPTIONS);
    database.exec(`PRAGMA application_id = 0; PRAGMA user_version = ${version}`);
    return path;
  };
  const path = unmark("whole", MIGRATIONS.length);
  const { damages, found } = useDatabase(path);
  t.same(damages, []);
  t.match(found, sumsOf(NOTES));
  using marked = openDatabase(path, OPTIONS);
  t.match(marked.prepare("PRAGMA application_id").get(), { application_id: 0x5065_0000 + MIGRATIONS.length });
  for (const version of [0, 1, MIGRATIONS.length + 1, -1]) {
    const rotten = useDatabase(unmark(`schema ${version}`, version));
    t.ok(rotten.damages.length === 1 && rotten.damages.every(isBrokenDatabase), `schema ${version}`);
    t.match(rotten.found, sumsOf(0), `schema ${version}`);
  }
});
