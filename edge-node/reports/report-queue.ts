/** Reports on disk until the origin has them: bounded, in order, delivered at least once, each kept once by its id. */
import type { NodeReport, NodeReportBatch } from "#contracts/codec/reports.ts";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { Database } from "#platform/sqlite/database.ts";

export const REPORT_QUEUE_MIGRATIONS = [
  `CREATE TABLE report (
     sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
     at_ms INTEGER NOT NULL, json TEXT NOT NULL
   ) STRICT`,
];

/** A month cut off with a session every four minutes. */
export const REPORTS_MAX = 10_000;
export const REPORTS_BYTES_MAX = 16 * 1024 * 1024;
export const REPORT_BYTES_MAX = 64 * 1024;
const BATCH_REPORTS_MAX = 100;

export interface ReportQueueOptions {
  readonly clock: Pick<Clock, "nowMs">;
  /** The queue was full: the oldest were given up. */
  readonly onDropped: (count: number) => void;
}

export class ReportQueue {
  readonly #database: Database;
  readonly #options: ReportQueueOptions;
  #count: number;
  #bytes: number;

  constructor(database: Database, options: ReportQueueOptions) {
    this.#database = database;
    this.#options = options;
    const row = database.prepare("SELECT count(*) AS count, total(length(json)) AS bytes FROM report").get();
    this.#count = Number(row?.["count"]);
    this.#bytes = Number(row?.["bytes"]);
  }

  get size(): number {
    return this.#count;
  }

  /** Durable when it returns; an id that waits already changes nothing. Throws `argument-invalid` for one too large. */
  push(report: { readonly id: string; readonly kind: string; readonly json: string }): void {
    const { id, kind, json } = report;
    if (json.length > REPORT_BYTES_MAX) {
      throw new Failure("argument-invalid", `report ${id}: at most ${REPORT_BYTES_MAX} characters, got ${json.length}`);
    }
    const { changes } = this.#database
      .prepare("INSERT OR IGNORE INTO report (id, kind, at_ms, json) VALUES (?, ?, ?, ?)")
      .run(id, kind, Math.floor(this.#options.clock.nowMs()), json);
    if (Number(changes) === 0) return;
    this.#count += 1;
    this.#bytes += json.length;
    this.#dropOldest();
  }

  /** The oldest that wait; `undefined` where none does. */
  next(): NodeReportBatch | undefined {
    // Asked every second.
    if (this.#count === 0) return undefined;
    const rows = this.#database
      .prepare("SELECT sequence, id, kind, at_ms, json FROM report ORDER BY sequence LIMIT ?")
      .all(BATCH_REPORTS_MAX);
    const last = rows.at(-1);
    if (last === undefined) return undefined;
    return { sequence: Number(last["sequence"]), reports: rows.map(reportOf) };
  }

  /** The origin has everything up to it. */
  acknowledge(sequence: number): void {
    this.#remove("sequence <= ?", sequence);
  }

  #dropOldest(): void {
    if (this.#count <= REPORTS_MAX && this.#bytes <= REPORTS_BYTES_MAX) return;
    const before = this.#count;
    this.#remove("sequence IN (SELECT sequence FROM report ORDER BY sequence LIMIT ?)", BATCH_REPORTS_MAX);
    this.#options.onDropped(before - this.#count);
  }

  #remove(where: string, value: number): void {
    const gone = this.#database.prepare(`DELETE FROM report WHERE ${where} RETURNING length(json) AS bytes`).all(value);
    this.#count -= gone.length;
    for (const row of gone) this.#bytes -= Number(row["bytes"]);
  }
}

function reportOf(row: Record<string, unknown>): NodeReport {
  const { id, kind, json } = row;
  return { id: String(id), kind: String(kind), atMs: Number(row["at_ms"]), json: String(json) };
}
