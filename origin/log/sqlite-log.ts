/** The revisioned log on SQLite: an append-only table whose row id is the global revision. */
import { assert } from "#domain/assert.ts";
import type { Timeline } from "#domain/desired-state.ts";
import { Failure } from "#domain/failure.ts";
import { isKind, type Kind } from "#domain/resource.ts";
import { type Database, openDatabase } from "#platform/sqlite/database.ts";
import { planRows } from "./plan-rows.ts";
import {
  type Kept,
  type LocalLog,
  type LogList,
  type LogRow,
  type WatchEvent,
  type Write,
  withTimeline,
} from "./resource-log.ts";

/** Rows a watcher reads at once: a slow one holds no more than this in memory. */
const WATCH_PAGE_ROWS = 256;

export const SQLITE_LOG_MIGRATIONS = [
  `CREATE TABLE rows (
     revision INTEGER PRIMARY KEY AUTOINCREMENT,
     kind TEXT NOT NULL,
     name TEXT NOT NULL,
     deleted INTEGER NOT NULL,
     json TEXT NOT NULL
   ) STRICT;
   CREATE INDEX rows_by_name ON rows (kind, name, revision);
   CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   INSERT INTO facts VALUES ('epoch', 1), ('compacted', 0);`,
  "CREATE TABLE held (revision INTEGER PRIMARY KEY) STRICT",
  "CREATE TABLE timeline (after INTEGER PRIMARY KEY, id TEXT NOT NULL) STRICT",
];

/** Before the names of numbers that writers keep, so that none is the log's own. */
const KEPT = "kept/";

const NEWEST_AT = "SELECT kind, name, max(revision) AS revision FROM rows WHERE revision <= ? GROUP BY kind, name";

/** `timeline` names what is written from now on; without it that is not told from what came before. */
export function openSqliteLog(path: string, timeline?: string): LocalLog {
  return sqliteLogOn(openDatabase(path, { migrations: SQLITE_LOG_MIGRATIONS, durability: "full" }), timeline);
}

/** The database is the log's to close. */
export function sqliteLogOn(database: Database, timeline?: string): LocalLog {
  return new SqliteLog(database, timeline);
}

/** All that a log holds: what is kept, and each change that is not compacted, in order. */
export interface LogState {
  readonly epoch: number;
  readonly compacted: number;
  /** Before `compacted`, and readable. */
  readonly held: readonly number[];
  readonly rows: readonly LogRow[];
  readonly kept: readonly Kept[];
}

/** A copy in memory of a log that is elsewhere, with that log's own revisions. */
export interface LogReplica extends LocalLog {
  /** Takes what the log appended after what is held, and wakes watchers. */
  append(rows: readonly LogRow[], kept: readonly Kept[]): void;
  /** Holds this instead; watchers go on where they were, or end with `revision-compacted`. */
  replace(state: LogState): void;
  rowAt(revision: number): LogRow | undefined;
}

export function openLogReplica(state: LogState): LogReplica {
  const replica = new SqliteLog(openDatabase(":memory:", { migrations: SQLITE_LOG_MIGRATIONS, durability: "normal" }));
  replica.replace(state);
  return replica;
}

/**
 * Of a log that nobody has open: revisions go on after as many that are left out, and what a node held of the log
 * before is no place to go on from. Gives the revision that it is at.
 */
export function raiseEpoch(path: string, epoch: number, revisionsSkipped: number): number {
  using database = openDatabase(path, { migrations: SQLITE_LOG_MIGRATIONS, durability: "full" });
  const { newest, fact, setFact } = prepare(database);
  const compacted = integerOf(fact.get("compacted"), "value");
  const revision = Math.max(integerOf(newest.get(), "revision"), compacted) + revisionsSkipped;
  assert(epoch > integerOf(fact.get("epoch"), "value"), "an epoch only grows");
  database.transaction(() => {
    setFact.run(epoch, "epoch");
    setFact.run(revision, "compacted");
  });
  return revision;
}

class SqliteLog implements LogReplica {
  #epoch: number;
  /** As the table has them, of which this is the only writer: every link asks at each of its pings. */
  #newest = { revision: 0, compacted: 0 };
  readonly #database: Database;
  readonly #statements: ReturnType<typeof prepare>;
  /** Woken after each commit; every watcher reads the table itself, so none can miss a row. */
  readonly #wake = new Set<() => void>();
  /** Of the first write to come: a start that writes nothing begins none. */
  #timelineToBegin: string | undefined;
  #timelines: readonly Timeline[];

  constructor(database: Database, timeline?: string) {
    this.#database = database;
    this.#timelineToBegin = timeline;
    this.#statements = prepare(database);
    this.#timelines = this.#statements.timelines.all().map(timelineOf);
    this.#epoch = this.#fact("epoch");
    this.#readNewest();
  }

  get epoch(): number {
    return this.#epoch;
  }

  revision(): number {
    return this.#newest.revision;
  }

  compactedRevision(): number {
    return this.#newest.compacted;
  }

  find(kind: Kind, name: string): LogRow | undefined {
    const found = this.#statements.find.get(kind, name);
    const row = found === undefined ? undefined : rowOf(found);
    return row?.deleted === true ? undefined : row;
  }

  findAt(kind: Kind, name: string, revision: number): LogRow | undefined {
    this.#checkReadable(revision);
    const found = this.#statements.findAt.get(kind, name, revision);
    return found === undefined ? undefined : rowOf(found);
  }

  list(options: { readonly kind?: Kind; readonly at?: number } = {}): LogList {
    const revision = options.at ?? this.revision();
    this.#checkReadable(revision);
    const { kind } = options;
    const { list, listKind } = this.#statements;
    const found = kind === undefined ? list.all(revision) : listKind.all(kind, revision);
    return { revision, rows: found.map(rowOf) };
  }

  write(writes: readonly Write[], keep?: Kept): readonly LogRow[] {
    let timelines = this.#timelines;
    const rows = this.#database.transaction(() => {
      const planned = planRows(this, writes);
      timelines = this.#begun(planned);
      this.#insert(planned, keep === undefined ? [] : [keep]);
      return planned;
    });
    if (rows.length > 0) this.#timelineToBegin = undefined;
    this.#timelines = timelines;
    this.#changed();
    return rows;
  }

  timelines(): readonly Timeline[] {
    return this.#timelines;
  }

  append(rows: readonly LogRow[], kept: readonly Kept[]): void {
    this.#database.transaction(() => this.#insert(rows, kept));
    this.#changed();
  }

  replace({ epoch, compacted, held, rows, kept }: LogState): void {
    this.#database.transaction(() => {
      this.#statements.clear.run();
      this.#statements.setFact.run(epoch, "epoch");
      this.#statements.setFact.run(compacted, "compacted");
      this.#insert(rows, kept);
      this.#forget(compacted, held);
    });
    this.#epoch = epoch;
    this.#changed();
  }

  rowAt(revision: number): LogRow | undefined {
    const found = this.#statements.rowAt.get(revision);
    return found === undefined ? undefined : rowOf(found);
  }

  kept(name: string): number {
    const row = this.#statements.fact.get(`${KEPT}${name}`);
    return row === undefined ? 0 : integerOf(row, "value");
  }

  #insert(rows: readonly LogRow[], kept: readonly Kept[]): void {
    const { insert, keep } = this.#statements;
    for (const row of rows) insert.run(row.revision, row.kind, row.name, row.deleted ? 1 : 0, row.json);
    for (const { name, value } of kept) keep.run(`${KEPT}${name}`, value);
  }

  /** Written with the first rows of this start. */
  #begun([first]: readonly LogRow[]): readonly Timeline[] {
    const id = this.#timelineToBegin;
    if (id === undefined || first === undefined) return this.#timelines;
    const begun = { id, after: first.revision - 1 };
    const timelines = withTimeline(this.#timelines, begun);
    this.#statements.begin.run(begun.after, id);
    this.#statements.forgetTimelines.run(timelines[0]?.after ?? 0);
    return timelines;
  }

  /** After a commit. */
  #changed(): void {
    this.#readNewest();
    for (const wake of [...this.#wake]) wake();
  }

  changesAfter(revision: number, rowsMax: number): readonly LogRow[] {
    this.#checkRevision(revision);
    return this.#statements.changes.all(revision, rowsMax).map(rowOf);
  }

  async *watch(from: number, signal: AbortSignal): AsyncGenerator<WatchEvent> {
    const changed = new ChangeSignal(signal);
    this.#wake.add(changed.wake);
    try {
      let cursor = from;
      let bookmarked = -1;
      while (!signal.aborted) {
        const rows = this.changesAfter(cursor, WATCH_PAGE_ROWS);
        for (const row of rows) {
          if (signal.aborted) return;
          cursor = row.revision;
          yield { kind: "row", row };
        }
        if (rows.length > 0) continue;
        if (bookmarked !== cursor) yield { kind: "bookmark", revision: cursor };
        bookmarked = cursor;
        await changed.next();
      }
    } finally {
      this.#wake.delete(changed.wake);
      changed[Symbol.dispose]();
    }
  }

  compact(revision: number, held: readonly number[] = []): void {
    assert(revision <= this.revision(), "compaction never passes the newest revision");
    if (revision <= this.compactedRevision()) return;
    for (const each of held) this.#checkReadable(each);
    this.#database.transaction(() => {
      this.#forget(revision, held);
      this.#statements.setFact.run(revision, "compacted");
    });
    this.#changed();
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #forget(revision: number, held: readonly number[]): void {
    const { hold, letGo, compact, compactDeletions } = this.#statements;
    letGo.run();
    for (const each of new Set([...held, revision])) hold.run(each);
    compact.run(revision);
    compactDeletions.run(revision);
  }

  #readNewest(): void {
    const compacted = this.#fact("compacted");
    const revision = Math.max(integerOf(this.#statements.newest.get(), "revision"), compacted);
    this.#newest = { revision, compacted };
  }

  #fact(name: "epoch" | "compacted"): number {
    return integerOf(this.#statements.fact.get(name), "value");
  }

  #checkReadable(revision: number): void {
    if (this.#statements.isHeld.get(revision) === undefined) this.#checkRevision(revision);
  }

  #checkRevision(revision: number): void {
    const floor = this.compactedRevision();
    if (revision < floor) {
      throw new Failure(
        "revision-compacted",
        `revision ${revision} is no longer kept, the oldest is ${floor}: take a snapshot and go on from there`,
        { detail: { compactedRevision: floor } },
      );
    }
    if (revision > this.revision()) {
      throw new Failure("argument-invalid", `revision ${revision} is not there yet, the newest is ${this.revision()}`);
    }
  }
}

/** Remembers a wake-up that came while nobody waited. */
class ChangeSignal {
  #pending = false;
  #resolve: (() => void) | undefined;
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", this.wake, { once: true });
  }

  readonly wake = (): void => {
    this.#pending = true;
    this.#resolve?.();
  };

  async next(): Promise<void> {
    if (!this.#pending && !this.#signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
      });
    }
    this.#pending = false;
  }

  [Symbol.dispose](): void {
    this.#signal.removeEventListener("abort", this.wake);
  }
}

function prepare(database: Database) {
  return {
    newest: database.prepare("SELECT coalesce(max(revision), 0) AS revision FROM rows"),
    fact: database.prepare("SELECT value FROM facts WHERE name = ?"),
    setFact: database.prepare("UPDATE facts SET value = ? WHERE name = ?"),
    keep: database.prepare("INSERT OR REPLACE INTO facts VALUES (?, ?)"),
    find: database.prepare("SELECT * FROM rows WHERE kind = ? AND name = ? ORDER BY revision DESC LIMIT 1"),
    findAt: database.prepare(
      "SELECT * FROM rows WHERE kind = ? AND name = ? AND revision <= ? ORDER BY revision DESC LIMIT 1",
    ),
    list: database.prepare(
      `SELECT rows.* FROM rows JOIN (${NEWEST_AT}) AS newest USING (revision) WHERE deleted = 0 ORDER BY rows.kind, rows.name`,
    ),
    listKind: database.prepare(
      `SELECT rows.* FROM rows JOIN
         (SELECT max(revision) AS revision FROM rows WHERE kind = ? AND revision <= ? GROUP BY name) AS newest
       USING (revision) WHERE deleted = 0 ORDER BY rows.name`,
    ),
    rowAt: database.prepare("SELECT * FROM rows WHERE revision = ?"),
    clear: database.prepare("DELETE FROM rows"),
    insert: database.prepare("INSERT INTO rows (revision, kind, name, deleted, json) VALUES (?, ?, ?, ?, ?)"),
    changes: database.prepare("SELECT * FROM rows WHERE revision > ? ORDER BY revision LIMIT ?"),
    timelines: database.prepare("SELECT id, after FROM timeline ORDER BY after"),
    begin: database.prepare("INSERT INTO timeline (after, id) VALUES (?, ?)"),
    forgetTimelines: database.prepare("DELETE FROM timeline WHERE after < ?"),
    isHeld: database.prepare("SELECT 1 FROM held WHERE revision = ?"),
    hold: database.prepare("INSERT INTO held VALUES (?)"),
    letGo: database.prepare("DELETE FROM held"),
    compact: database.prepare(
      `DELETE FROM rows WHERE revision <= ? AND revision NOT IN (
         SELECT max(rows.revision) FROM held JOIN rows ON rows.revision <= held.revision
         GROUP BY held.revision, kind, name)`,
    ),
    compactDeletions: database.prepare(
      `DELETE FROM rows WHERE deleted = 1 AND revision <= ? AND NOT EXISTS (
         SELECT 1 FROM rows AS older
         WHERE older.kind = rows.kind AND older.name = rows.name AND older.revision < rows.revision)`,
    ),
  };
}

type Columns = Readonly<Record<string, unknown>>;

function rowOf(columns: Columns): LogRow {
  const { kind, name, json } = columns;
  assert(typeof kind === "string" && isKind(kind), `a stored row's kind is known, got ${String(kind)}`);
  assert(typeof name === "string" && typeof json === "string", "a stored row's name and JSON are text");
  return { revision: integerOf(columns, "revision"), kind, name, deleted: columns["deleted"] === 1, json };
}

function timelineOf(columns: Columns): Timeline {
  const { id } = columns;
  assert(typeof id === "string", "a timeline's id is text");
  return { id, after: integerOf(columns, "after") };
}

function integerOf(columns: Columns | undefined, name: string): number {
  const value = columns?.[name];
  assert(typeof value === "number", `column ${name} is a number`);
  return value;
}
