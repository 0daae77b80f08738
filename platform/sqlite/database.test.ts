import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import {
  type Database,
  isBrokenDatabase,
  isConstraintError,
  openDatabase,
  openOrBeginAgain,
} from "#platform/sqlite/database.ts";
import { testFolder } from "#test/test-folder.ts";

const PAGE_BYTES = 4096;
const FIRST = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT";
const SECOND = "ALTER TABLE notes ADD COLUMN stars INTEGER NOT NULL DEFAULT 0";

t.test("a database is brought to the newest schema and keeps what it holds", async (t) => {
  const path = join(testFolder(t), "notes.sqlite");
  {
    using database = openDatabase(path, { migrations: [FIRST], durability: "full" });
    database.prepare("INSERT INTO notes (text) VALUES (?)").run("hello");
    t.match(database.prepare("PRAGMA journal_mode").get(), { journal_mode: "wal" });
    t.match(database.prepare("PRAGMA synchronous").get(), { synchronous: 2 });
  }
  {
    using database = openDatabase(path, { migrations: [FIRST, SECOND], durability: "normal" });
    t.match(database.prepare("SELECT text, stars FROM notes").all(), [{ text: "hello", stars: 0 }]);
    t.match(database.prepare("PRAGMA synchronous").get(), { synchronous: 1 });
  }
  t.throws(() => openDatabase(path, { migrations: [FIRST], durability: "full" }), {
    code: "storage-failed",
    message: /has schema 2, this program knows up to 1/,
  });
});

t.test("a migration that fails leaves the schema before it", async (t) => {
  const path = join(testFolder(t), "notes.sqlite");
  const broken = "ALTER TABLE notes ADD COLUMN good INTEGER; ALTER TABLE missing ADD COLUMN bad INTEGER";
  t.throws(() => openDatabase(path, { migrations: [FIRST, broken], durability: "full" }), { code: "storage-failed" });
  using database = openDatabase(path, { migrations: [FIRST, SECOND], durability: "full" });
  t.strictSame(
    database
      .prepare("SELECT name FROM pragma_table_info('notes')")
      .all()
      .map((row) => row["name"]),
    ["id", "text", "stars"],
  );
});

t.test("a transaction commits whole or not at all, and does not nest", async (t) => {
  using database = openDatabase(":memory:", { migrations: [FIRST], durability: "full" });
  const insert = database.prepare("INSERT INTO notes (text) VALUES (?)");
  const count = (): unknown => database.prepare("SELECT count(*) AS n FROM notes").get()?.["n"];
  t.equal(
    database.transaction(() => insert.run("a").changes),
    1,
  );
  const refused = (): void =>
    database.transaction(() => {
      insert.run("b");
      insert.run("a");
    });
  try {
    refused();
    t.fail("a breach of UNIQUE passed");
  } catch (error) {
    t.ok(isConstraintError(error));
  }
  t.equal(count(), 1);
  t.throws(() => database.transaction(() => database.transaction(() => undefined)), { message: /does not nest/ });
  t.throws(() => database.transaction(() => Promise.resolve()), { message: /synchronous/ });
  database.transaction(() => insert.run("c"));
  t.equal(count(), 2);
});

t.test("what cannot be opened or read is named with its path", async (t) => {
  const folder = testFolder(t, {
    "garbage.sqlite": "this is no database at all, but long enough to be looked at ".repeat(20),
  });
  for (const path of [join(folder, "missing", "x.sqlite"), join(folder, "garbage.sqlite")]) {
    t.throws(() => openDatabase(path, { migrations: [FIRST], durability: "full" }), { code: "storage-failed" }, path);
  }
});

t.test("a statement's failure has a code, so that a full disk is no bug", async (t) => {
  using database = openDatabase(join(testFolder(t), "notes.sqlite"), { migrations: [FIRST], durability: "full" });
  const insert = database.prepare("INSERT INTO notes (text) VALUES (?)");
  database.exec("PRAGMA max_page_count = 4");
  t.throws(() => insert.run("x".repeat(100_000)), { code: "disk-full", retryable: true });
  insert.run("small");
  t.equal(database.prepare("SELECT count(*) AS n FROM notes").get()?.["n"], 1);
});

t.test(
  "a broken database is set aside and begun again, whether its head, its format or a page is broken",
  async (t) => {
    const options = { migrations: [FIRST], durability: "full" as const };
    const broken = {
      head: (bytes: Buffer) => bytes.fill("no database", 0, 100),
      page: (bytes: Buffer) => bytes.fill(0xff, 4096, 8192),
      "schema format": (bytes: Buffer) => bytes.fill(9, 44, 48),
    };
    for (const [what, damage] of Object.entries(broken)) {
      const path = join(testFolder(t), `${what}.sqlite`);
      {
        using database = openDatabase(path, options);
        database.prepare("INSERT INTO notes (text) VALUES (?)").run("hello");
      }
      const bytes = damage(readFileSync(path));
      writeFileSync(path, bytes);
      const damages: unknown[] = [];
      let opened = 0;
      const texts = openOrBeginAgain(
        path,
        options,
        (database) => {
          opened += 1;
          const rows = database.prepare("SELECT text FROM notes").all();
          database.close();
          return rows;
        },
        (failure) => void damages.push(failure),
      );
      t.same(texts, [], what);
      t.ok(damages.length === 1 && damages.every(isBrokenDatabase), what);
      t.ok(readFileSync(`${path}.damaged`).equals(bytes), `${what}: kept for who looks into it`);
      t.equal(opened, what === "page" ? 2 : 1, what);
    }
  },
);

t.test("a name of the schema that has rotted into another one is damage, before a statement fails by it", async (t) => {
  const path = join(testFolder(t), "notes.sqlite");
  const options = { migrations: [FIRST], durability: "full" as const };
  openDatabase(path, options).close();
  const bytes = readFileSync(path);
  bytes[bytes.indexOf("text TEXT") + 2] = "z".charCodeAt(0);
  writeFileSync(path, bytes);
  const damages: unknown[] = [];
  const insert = (database: Database) => {
    database.prepare("INSERT INTO notes (text) VALUES (?)").run("hello");
    return database;
  };
  using database = openOrBeginAgain(path, options, insert, (failure) => void damages.push(failure));
  t.equal(database.prepare("SELECT text FROM notes").get()?.["text"], "hello");
  t.ok(damages.length === 1 && damages.every(isBrokenDatabase));
  t.match(damages, [{ message: /other columns/ }]);
});

t.test("where it is asked for, damage that no read has met is found before a write fails by it", (t) => {
  const path = join(testFolder(t), "notes.sqlite");
  const options = { migrations: [FIRST], durability: "full" } as const;
  {
    using database = openDatabase(path, options);
    const insert = database.prepare("INSERT INTO notes (text) VALUES (?)");
    database.transaction(() => {
      for (let note = 0; note < 500; note += 1) insert.run(`${note}`.padEnd(400, "."));
    });
  }
  const bytes = readFileSync(path);
  bytes.fill(0xff, PAGE_BYTES * 20, PAGE_BYTES * 21);
  writeFileSync(path, bytes);
  const damages: string[] = [];
  const open = (isChecked: boolean): number =>
    openOrBeginAgain(
      path,
      { ...options, isChecked },
      (database) => {
        const { id } = database.prepare("SELECT min(id) AS id FROM notes").get() ?? {};
        database.close();
        return Number(id);
      },
      ({ code }) => void damages.push(code),
    );
  t.equal(open(false), 1);
  t.same(damages, [], "the first page is whole");
  t.equal(open(true), 0, "begun again");
  t.same(damages, ["storage-failed"]);
  t.end();
});
