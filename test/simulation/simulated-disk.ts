/** The disk of a simulated machine: SQLite databases in memory that outlive its processes, and may be slow, full or interrupted. */
import { Failure } from "#domain/failure.ts";
import { type Database, openDatabase, type Row, type Statement } from "#platform/sqlite/database.ts";
import { ProcessKilled, type SimulatedProcess } from "./simulated-process.ts";

type Values = Parameters<Statement["run"]>;

/** A commit at which the process ends: before it is durable, or after, when nobody hears of it any more. */
export interface CrashAtCommit {
  readonly commits: number;
  readonly when: "before" | "after";
}

interface File {
  readonly database: Database;
  readonly tables: readonly string[];
  /** Before the last commit; kept where the disk forgets it at a crash. */
  before: Contents | undefined;
}

type Contents = ReadonlyMap<string, readonly Row[]>;

export class SimulatedDisk {
  readonly #files = new Map<string, File>();
  /** What each commit takes. */
  commitMs = 0;
  /** Asked at each commit of a disk that is almost full: a small one may still fit. */
  isFull: () => boolean = () => false;
  /** Whether a commit was ever refused or interrupted: what came just before it may be repeated. */
  hasFailed = false;
  #crash: { remaining: number; readonly when: CrashAtCommit["when"] } | undefined;
  /** A planted bug: the file whose last commit was not on the disk when the process said so. */
  readonly #forgets: string | undefined;

  constructor(forgets?: string) {
    this.#forgets = forgets;
  }

  crashAt({ commits, when }: CrashAtCommit): void {
    this.#crash = { remaining: commits, when };
  }

  heal(): void {
    [this.commitMs, this.isFull, this.#crash] = [0, () => false, undefined];
  }

  /** The file as a process has it open; a killed process can do nothing to it. */
  open(process: SimulatedProcess, name: string, migrations: readonly string[]): Database {
    const file = this.#fileOf(name, migrations);
    if (this.#forgets === name) process.onKill(() => this.#forget(file));
    let isInTransaction = false;
    const commit = <T>(work: () => T): T => (isInTransaction ? work() : this.#commit(process, file, name, work));
    const check = (): void => {
      if (!process.isAlive) throw new ProcessKilled(`${process.name} is dead`);
    };
    return {
      prepare: (sql) => statementOf(file.database.prepare(sql), !/^\s*SELECT/i.test(sql), check, commit),
      exec: (sql) => commit(() => file.database.exec(sql)),
      transaction: (work) =>
        commit(() => {
          isInTransaction = true;
          try {
            return file.database.transaction(work);
          } finally {
            isInTransaction = false;
          }
        }),
      close: () => undefined,
      [Symbol.dispose]: () => undefined,
    };
  }

  /** What is on the disk, whoever has it open. */
  read(name: string, sql: string, ...values: Values): readonly Row[] {
    return (
      this.#files
        .get(name)
        ?.database.prepare(sql)
        .all(...values) ?? []
    );
  }

  /** By the operator's hand, while no process has it open. */
  change(name: string, sql: string): void {
    this.#files.get(name)?.database.exec(sql);
  }

  backup(name: string): Contents {
    const file = this.#files.get(name);
    return file === undefined ? new Map() : contentsOf(file);
  }

  restore(name: string, contents: Contents): void {
    const file = this.#files.get(name);
    if (file !== undefined) replaceContents(file, contents);
  }

  [Symbol.dispose](): void {
    for (const { database } of this.#files.values()) database.close();
  }

  #fileOf(name: string, migrations: readonly string[]): File {
    const known = this.#files.get(name);
    if (known !== undefined) return known;
    const database = openDatabase(":memory:", { migrations, durability: "normal" });
    const tables = database
      .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
      .all()
      .map((row) => String(row["name"]));
    const file: File = { database, tables, before: undefined };
    this.#files.set(name, file);
    return file;
  }

  #commit<T>(process: SimulatedProcess, file: File, name: string, work: () => T): T {
    if (!process.isAlive) throw new ProcessKilled(`${process.name} is dead`);
    if (this.isFull()) {
      this.hasFailed = true;
      throw new Failure("disk-full", `${name}: no space is left`, { retryable: true });
    }
    const crash = this.#crash;
    if (crash !== undefined) crash.remaining -= 1;
    if (crash !== undefined && crash.remaining <= 0 && crash.when === "before") this.#kill(process, name);
    if (this.#forgets === name) file.before = contentsOf(file);
    const result = work();
    if (this.commitMs > 0) process.block(this.commitMs);
    if (crash !== undefined && crash.remaining <= 0) this.#kill(process, name);
    return result;
  }

  #kill(process: SimulatedProcess, name: string): never {
    this.#crash = undefined;
    this.hasFailed = true;
    process.kill();
    throw new ProcessKilled(`${process.name} was killed at a commit to ${name}`);
  }

  #forget(file: File): void {
    if (file.before !== undefined) replaceContents(file, file.before);
    file.before = undefined;
  }
}

function statementOf(
  statement: Statement,
  isWrite: boolean,
  check: () => void,
  commit: <T>(work: () => T) => T,
): Statement {
  const through = <T>(work: () => T): T => {
    check();
    return isWrite ? commit(work) : work();
  };
  return {
    get: (...values) => through(() => statement.get(...values)),
    all: (...values) => through(() => statement.all(...values)),
    run: (...values) => through(() => statement.run(...values)),
  };
}

function contentsOf({ database, tables }: File): Contents {
  return new Map(tables.map((table) => [table, database.prepare(`SELECT * FROM ${table}`).all()]));
}

function replaceContents({ database, tables }: File, contents: Contents): void {
  database.transaction(() => {
    for (const table of tables) {
      database.exec(`DELETE FROM ${table}`);
      for (const row of contents.get(table) ?? []) {
        const marks = Object.keys(row).map(() => "?");
        database.prepare(`INSERT INTO ${table} VALUES (${marks.join(", ")})`).run(...Object.values(row));
      }
    }
  });
}
