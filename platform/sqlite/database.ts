/** Opens an SQLite database (write-ahead log, one writer) at its newest schema and runs transactions on it. */
import { renameSync, rmSync } from "node:fs";
import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from "node:sqlite";
import { assert } from "#domain/assert.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { headerFaultOf } from "./header.ts";
import { decideSchemaVersion, type HeaderVersions, markOf, SCHEMA_VERSION_MAX } from "./schema-version.ts";

/** `full`: what a commit acknowledged survives a power cut; `normal`: it survives a crash of the process. */
export type Durability = "full" | "normal";

/** How long a statement waits for another process's lock before it fails. */
export const SQLITE_BUSY_TIMEOUT_MS = 5_000;
/** What the write-ahead log is cut back to after a checkpoint, so that one large transaction does not keep its disk. */
export const SQLITE_WAL_BYTES_MAX = 16 * 1024 * 1024;
/** Of pages in memory: SQLite's own default, said so that no rotten header says more. */
export const SQLITE_CACHE_BYTES_MAX = 2_000 * 1024;
/** Kept compiled. Texts are constants of the program, and no database has so many. */
const STATEMENTS_MAX = 256;

/** SQLite's primary result codes (sqlite.org/rescode.html). */
const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CONSTRAINT = 19;
const SQLITE_NOTADB = 26;

export type Row = Readonly<Record<string, SQLOutputValue>>;

/** Throws `storage-failed` or `disk-full`, or SQLite's own error where a constraint is broken. */
export interface Statement {
  get(...values: SQLInputValue[]): Row | undefined;
  all(...values: SQLInputValue[]): readonly Row[];
  run(...values: SQLInputValue[]): { readonly changes: number | bigint; readonly lastInsertRowid: number | bigint };
}

export interface Database extends Disposable {
  /** Compiled once for each text, which must not be made of values. */
  prepare(sql: string): Statement;
  /** Runs statements that bind nothing. */
  exec(sql: string): void;
  /** Commits when `work` returns, rolls back when it throws. Does not nest; `work` must not be asynchronous. */
  transaction<T>(work: () => T): T;
  /** Idempotent. */
  close(): void;
}

function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") return undefined;
  return error.errcode & 0xff;
}

/** True for a breach of a UNIQUE, CHECK, NOT NULL or foreign key rule. */
export function isConstraintError(error: unknown): boolean {
  return sqliteCode(error) === SQLITE_CONSTRAINT;
}

/** True where the file is not, or no longer, a database: no later try mends it. */
export function isBrokenDatabase(error: unknown): boolean {
  if (!isFailure(error, "storage-failed")) return false;
  const code = sqliteCode(error.cause);
  return code === SQLITE_CORRUPT || code === SQLITE_NOTADB;
}

/** What SQLite does not find by itself: as broken as what it finds. */
function brokenDatabase(path: string, what: string): Failure {
  const cause = Object.assign(new Error(what), { errcode: SQLITE_CORRUPT });
  return new Failure("storage-failed", `${path}: ${what}`, { cause });
}

/** Names what went wrong in the storage; an error that is not the storage's is returned as it is. */
function translate(error: unknown, path: string): unknown {
  const code = sqliteCode(error);
  if (code === undefined || code === SQLITE_CONSTRAINT) return error;
  const reason = error instanceof Error ? error.message : String(error);
  if (code === SQLITE_FULL) {
    return new Failure("disk-full", `${path}: no space is left; free some on its disk`, {
      retryable: true,
      cause: error,
    });
  }
  const retryable = code === SQLITE_BUSY || code === SQLITE_LOCKED;
  return new Failure("storage-failed", `${path}: ${reason}`, { retryable, cause: error });
}

function translating<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw translate(error, path);
  }
}

class OpenDatabase implements Database {
  readonly #path: string;
  readonly #connection: DatabaseSync;
  readonly #statements = new Map<string, Statement>();

  constructor(path: string, connection: DatabaseSync) {
    this.#path = path;
    this.#connection = connection;
  }

  prepare(sql: string): Statement {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    if (this.#statements.size >= STATEMENTS_MAX) this.#statements.clear();
    const statement = this.#compile(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  #compile(sql: string): Statement {
    const path = this.#path;
    const statement: StatementSync = translating(path, () => this.#connection.prepare(sql));
    return {
      get: (...values) => translating(path, () => statement.get(...values)),
      all: (...values) => translating(path, () => statement.all(...values)),
      run: (...values) => translating(path, () => statement.run(...values)),
    };
  }

  exec(sql: string): void {
    translating(this.#path, () => this.#connection.exec(sql));
  }

  transaction<T>(work: () => T): T {
    assert(!this.#connection.isTransaction, "a transaction does not nest");
    return translating(this.#path, () => {
      this.#connection.exec("BEGIN IMMEDIATE");
      try {
        const result = work();
        assert(!(result instanceof Promise), "a transaction's work is synchronous");
        this.#connection.exec("COMMIT");
        return result;
      } catch (error) {
        if (this.#connection.isTransaction) this.#connection.exec("ROLLBACK");
        throw error;
      }
    });
  }

  close(): void {
    if (this.#connection.isOpen) this.#connection.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function headerVersions(database: Database): HeaderVersions {
  const read = (name: "user_version" | "application_id"): number => {
    const value = database.prepare(`PRAGMA ${name}`).get()?.[name];
    assert(typeof value === "number", `PRAGMA ${name} answers a number`);
    return value;
  };
  return { userVersion: read("user_version"), applicationId: read("application_id") };
}

function migrate(database: Database, path: string, migrations: readonly string[]): void {
  assert(migrations.length <= SCHEMA_VERSION_MAX, "schema versions fit into their mark");
  const decided = decideSchemaVersion(headerVersions(database), migrations.length);
  if (decided.kind === "broken") throw brokenDatabase(path, decided.because);
  const { version } = decided;
  if (decided.kind === "newer") {
    const message = `${path}: has schema ${version}, this program knows up to ${migrations.length}; start the newer program`;
    throw new Failure("storage-failed", message);
  }
  const mark = (of: number): void => database.exec(`PRAGMA application_id = ${markOf(of)}`);
  if (!decided.isMarked) checkSchema(database, path, migrations.slice(0, version));
  for (const [index, sql] of migrations.entries()) {
    if (index < version) continue;
    database.transaction(() => {
      database.exec(sql);
      database.exec(`PRAGMA user_version = ${index + 1}`);
      mark(index + 1);
    });
  }
  if (!decided.isMarked && version > 0 && version === migrations.length) markWherePossible(mark, version);
}

/** A full disk keeps nobody from starting: then a later start marks it. */
function markWherePossible(mark: (version: number) => void, version: number): void {
  try {
    mark(version);
  } catch (error) {
    if (!isFailure(error, "disk-full")) throw error;
  }
}

/** What a process that was killed left in the log may have the header anew: then the log is folded in. */
function openConnection(path: string): DatabaseSync {
  const open = () => translating(path, () => new DatabaseSync(path, { timeout: SQLITE_BUSY_TIMEOUT_MS }));
  const connection = open();
  if (headerFaultOf(path) === undefined) return connection;
  try {
    translating(path, () => connection.exec("PRAGMA user_version"));
  } finally {
    connection.close();
  }
  const fault = headerFaultOf(path);
  if (fault !== undefined) throw brokenDatabase(path, fault);
  return open();
}

/** Migration n brings a database from schema n to n + 1; a released one never changes. Throws `storage-failed`. */
export function openDatabase(
  path: string,
  options: { readonly migrations: readonly string[]; readonly durability: Durability },
): Database {
  const connection = openConnection(path);
  const database = new OpenDatabase(path, connection);
  try {
    database.exec("PRAGMA journal_mode = WAL");
    database.exec(`PRAGMA synchronous = ${options.durability === "full" ? "FULL" : "NORMAL"}`);
    database.exec(`PRAGMA journal_size_limit = ${SQLITE_WAL_BYTES_MAX}`);
    database.exec(`PRAGMA cache_size = ${-SQLITE_CACHE_BYTES_MAX / 1024}`);
    migrate(database, path, options.migrations);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Throws `storage-failed` as SQLite does for a broken file: what reading has not met, a later write would. */
function checkSound(database: Database, path: string): void {
  const found = database.prepare("PRAGMA quick_check(1)").get()?.["quick_check"];
  if (found === "ok") return;
  throw brokenDatabase(path, String(found));
}

const COLUMNS = `SELECT tables.name AS "table", columns.name, columns.type, columns."notnull", columns.pk
  FROM sqlite_schema AS tables, pragma_table_xinfo(tables.name) AS columns
  WHERE tables.type = 'table' ORDER BY tables.name, columns.cid`;

/**
 * A name of the schema that has rotted reads as another name: no statement fits it, now or later. Throws `storage-failed`
 * as SQLite does for a broken file.
 */
export function checkSchema(database: Database, path: string, migrations: readonly string[]): void {
  using fresh = new OpenDatabase(":memory:", new DatabaseSync(":memory:"));
  for (const sql of migrations) fresh.exec(sql);
  const [expected, found] = [fresh, database].map((of) => JSON.stringify(of.prepare(COLUMNS).all()));
  if (expected === found) return;
  throw brokenDatabase(path, "its tables have other columns than its migrations make");
}

export interface BeginAgainOptions {
  readonly migrations: readonly string[];
  readonly durability: Durability;
  /** Read through before it is used: for what is small, and what may be lost sooner than fail at some later write. */
  readonly isChecked?: boolean;
}

/**
 * Opens, and builds what reads the database; a broken file is set aside under `.damaged`, told of, and begun again,
 * empty. The database is the builder's to close, once it has returned.
 */
export function openOrBeginAgain<T>(
  path: string,
  options: BeginAgainOptions,
  build: (database: Database) => T,
  onDamage: (failure: Failure) => void,
): T {
  const open = (): T => {
    const database = openDatabase(path, options);
    try {
      checkSchema(database, path, options.migrations);
      if (options.isChecked === true) checkSound(database, path);
      return build(database);
    } catch (error) {
      database.close();
      throw error;
    }
  };
  try {
    return open();
  } catch (error) {
    if (!isFailure(error) || !isBrokenDatabase(error)) throw error;
    onDamage(error);
    renameSync(path, `${path}.damaged`);
    for (const beside of [`${path}-wal`, `${path}-shm`]) rmSync(beside, { force: true });
    return open();
  }
}
