/** Opens an SQLite database: write-ahead log, migrations by `user_version`, one writer. */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { Failure } from "#domain/failure.ts";

/** A writer in another process waits this long; there should be none. */
const BUSY_TIMEOUT_MS = 5000;
/** Pages (4 KiB): the write-ahead log is folded in before it grows past about 4 MiB. */
const WAL_CHECKPOINT_PAGES = 1000;
/** Truncated back to this after a checkpoint. */
const WAL_BYTES_MAX = 64 * 1024 * 1024;

export interface DatabaseOptions {
  /** Each takes the schema one version further; never edited once released. */
  readonly migrations: readonly string[];
  /** `full`: a commit is on the disk when it returns. `normal`: the last commits may be lost with the machine, never torn. */
  readonly durability: "full" | "normal";
}

export interface Database extends Disposable {
  prepare(sql: string): StatementSync;
  exec(sql: string): void;
  /** Commits when `run` returns, rolls back when it throws; does not nest. */
  transaction<T>(run: () => T): T;
  close(): void;
}

/** Throws `storage-failed` when the file is of a later version, is no database, or is locked. */
export function openDatabase(path: string, { migrations, durability }: DatabaseOptions): Database {
  try {
    const connection = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
    connection.exec("PRAGMA journal_mode = WAL");
    connection.exec(`PRAGMA synchronous = ${durability === "full" ? "FULL" : "NORMAL"}`);
    connection.exec(`PRAGMA wal_autocheckpoint = ${WAL_CHECKPOINT_PAGES}`);
    connection.exec(`PRAGMA journal_size_limit = ${WAL_BYTES_MAX}`);
    connection.exec("PRAGMA foreign_keys = ON");
    migrate(connection, path, migrations);
    return wrap(connection);
  } catch (cause) {
    if (cause instanceof Failure) throw cause;
    throw new Failure("storage-failed", `cannot open the database ${path}: ${String(cause)}`, { cause });
  }
}

function migrate(connection: DatabaseSync, path: string, migrations: readonly string[]): void {
  const version = Number(connection.prepare("PRAGMA user_version").get()?.["user_version"] ?? 0);
  if (version > migrations.length) {
    throw new Failure(
      "storage-failed",
      `${path} has schema version ${version}, this program knows ${migrations.length}: run the version that wrote it, or a later one`,
    );
  }
  migrations.slice(version).forEach((sql, index) => {
    connection.exec(`BEGIN IMMEDIATE; ${sql}; PRAGMA user_version = ${version + index + 1}; COMMIT`);
  });
}

function wrap(connection: DatabaseSync): Database {
  const close = () => {
    if (connection.isOpen) connection.close();
  };
  return {
    prepare: (sql) => connection.prepare(sql),
    exec: (sql) => connection.exec(sql),
    transaction: (run) => {
      connection.exec("BEGIN IMMEDIATE");
      try {
        const result = run();
        connection.exec("COMMIT");
        return result;
      } catch (error) {
        if (connection.isTransaction) connection.exec("ROLLBACK");
        throw error;
      }
    },
    close,
    [Symbol.dispose]: close,
  };
}
