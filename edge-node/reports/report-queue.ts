/** Reports on disk until the origin has them: bounded, in order, durable in groups, each at the origin once by its id. */
import type { NodeReport, NodeReportBatch } from "#contracts/codec/reports.ts";
import { assert } from "#domain/assert.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";
import type { Database, Row, Statement } from "#platform/sqlite/database.ts";
import { KEPT_RANK, mergeKeyOf, REPORT_POLICIES, type ReportKind } from "./report-policy.ts";

export const REPORT_QUEUE_MIGRATIONS = [
  `CREATE TABLE report (
     sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
     at_ms INTEGER NOT NULL, json TEXT NOT NULL
   ) STRICT`,
  `ALTER TABLE report ADD COLUMN rank INTEGER NOT NULL DEFAULT 1;
   ALTER TABLE report ADD COLUMN merge_key TEXT;
   ALTER TABLE report ADD COLUMN reports INTEGER NOT NULL DEFAULT 1;
   CREATE INDEX report_by_rank ON report (rank, sequence);
   CREATE INDEX report_by_merge_key ON report (merge_key, sequence) WHERE merge_key IS NOT NULL;
   CREATE TABLE handed (one INTEGER PRIMARY KEY CHECK (one = 1), sequence INTEGER NOT NULL) STRICT;
   INSERT INTO handed VALUES (1, 0)`,
];

export const REPORT_BYTES_MAX = 64 * 1024;
/** What a report takes beside its JSON, in the table and its indexes. */
export const ROW_BYTES = 256;
/** Reports that come within it are made durable together: a hit waits for at most so many fsyncs a second. */
const COMMIT_MS = 10;
/** Reports that wait to be made durable. */
export const UNCOMMITTED_REPORTS_MAX = 4096;
export const BATCH_REPORTS_MAX = 500;
const BATCH_BYTES_MAX = 1024 * 1024;
const DROPPED = "reports-dropped";

export interface Report {
  readonly kind: ReportKind;
  readonly value: object;
  /** Whose report it is, where such reports may become one. */
  readonly subject?: string;
  /** Where the same may be said again: waits once, and is kept once. */
  readonly id?: string;
}

export interface ReportQueueOptions {
  readonly clock: Pick<Clock, "nowMs" | "timer">;
  readonly random: Pick<Random, "uuid">;
  /** Of the JSON of all that wait, and 256 bytes for each. */
  readonly bytesMax: number;
  readonly events: {
    /** The queue was full: these, which were durable, were given up. */
    reportsDropped(kind: string, count: number): void;
    reportsCommitted(count: number, waiting: number): void;
    /** At the opening, of what waits from before, and whenever the origin has taken some. */
    reportsWaiting(waiting: number): void;
    storageFailed(error: unknown): void;
  };
}

interface Pushed {
  readonly kind: ReportKind;
  readonly subject: string | undefined;
  readonly id: string;
  readonly json: string;
  readonly atMs: number;
  readonly done: PromiseWithResolvers<void>;
}

/** What a transaction changes, in force once it is durable. */
interface Change {
  rows: number;
  bytes: number;
  readonly dropped: Map<string, number>;
  /** By the row that each was put into. */
  readonly pushedInto: Map<string, Pushed[]>;
  readonly refused: Set<Pushed>;
}

export class ReportQueue implements Disposable {
  readonly #database: Database;
  readonly #options: ReportQueueOptions;
  readonly #statements: Statements;
  readonly #listeners = new Set<() => void>();
  #rows = 0;
  #bytes = 0;
  #pushed: Pushed[] = [];
  #timer: Disposable | undefined;
  /** Up to it the origin may have them: they stay as they are. */
  #handed: number;
  /** What an earlier process wrote stays as it is. */
  readonly #openedAt: number;

  constructor(database: Database, options: ReportQueueOptions) {
    this.#database = database;
    this.#options = options;
    this.#statements = statementsOf(database);
    const row = this.#statements.total.get();
    this.#rows = Number(row?.["rows"]);
    this.#bytes = Number(row?.["bytes"]);
    this.#openedAt = Number(row?.["last"]);
    this.#handed = Number(this.#statements.handed.get()?.["sequence"]);
    options.events.reportsWaiting(this.#rows);
  }

  /** Rows: reports that became one count once. */
  get size(): number {
    return this.#rows;
  }

  /** Called when something waits that did not before. */
  onCommitted(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /**
   * Fulfilled when it is durable. Fails with `argument-invalid` for one too large, `overloaded` where nothing that waits
   * would be given up before it, or what the disk said: then it is not kept.
   */
  push({ kind, value, subject, id }: Report): Promise<void> {
    const { clock, random } = this.#options;
    const json = JSON.stringify(value);
    const bytes = Buffer.byteLength(json);
    if (bytes > REPORT_BYTES_MAX) {
      return reject(new Failure("argument-invalid", `a report has at most ${REPORT_BYTES_MAX} bytes, got ${bytes}`));
    }
    if (this.#pushed.length >= UNCOMMITTED_REPORTS_MAX) {
      return reject(new Failure("overloaded", "too many reports come at once", { retryable: true }));
    }
    const done = Promise.withResolvers<void>();
    const atMs = Math.floor(clock.nowMs());
    this.#pushed.push({ kind, subject, id: id ?? `${kind}/${random.uuid()}`, json, atMs, done });
    this.#timer ??= clock.timer(COMMIT_MS, () => this.commit());
    return done.promise;
  }

  /** Makes durable what was pushed; what the timer does. */
  commit(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    const group = this.#pushed;
    this.#pushed = [];
    if (group.length === 0) return;
    const change: Change = { rows: 0, bytes: 0, dropped: new Map(), pushedInto: new Map(), refused: new Set() };
    try {
      this.#database.transaction(() => {
        for (const pushed of group) this.#keep(pushed, change);
        this.#makeRoom(change);
      });
    } catch (error) {
      if (!isFailure(error)) throw error;
      for (const { done } of group) done.reject(error);
      return;
    }
    this.#rows += change.rows;
    this.#bytes += change.bytes;
    this.#settle(group, change);
  }

  /** The oldest that wait; `undefined` where none does. They stay as they are until they are acknowledged. */
  next(): NodeReportBatch | undefined {
    // Asked every few seconds.
    if (this.#rows === 0) return undefined;
    const rows = this.#statements.oldest.all(BATCH_REPORTS_MAX);
    let bytes = 0;
    const fitting = rows.filter((row, index) => {
      bytes += Number(row["bytes"]);
      return index === 0 || bytes <= BATCH_BYTES_MAX;
    });
    const last = fitting.at(-1);
    if (last === undefined) return undefined;
    const sequence = Number(last["sequence"]);
    this.#hand(sequence);
    return { sequence, reports: fitting.map(reportOf) };
  }

  /** The origin has everything up to it. */
  acknowledge(sequence: number): void {
    const gone = this.#statements.acknowledge.all(sequence);
    this.#rows -= gone.length;
    for (const row of gone) this.#bytes -= sizeOf(String(row["kind"]), Number(row["bytes"]));
    this.#options.events.reportsWaiting(this.#rows);
  }

  [Symbol.dispose](): void {
    this.commit();
  }

  #settle(group: readonly Pushed[], { dropped, refused }: Change): void {
    const { events } = this.#options;
    const full = new Failure("overloaded", "the queue of reports is full of what matters more", { retryable: true });
    for (const pushed of group) {
      if (refused.has(pushed)) pushed.done.reject(full);
      else pushed.done.resolve();
    }
    for (const [kind, count] of dropped) events.reportsDropped(kind, count);
    events.reportsCommitted(group.length - refused.size, this.#rows);
    for (const listener of this.#listeners) listener();
  }

  #keep(pushed: Pushed, change: Change): void {
    const { kind, subject, id, json, atMs } = pushed;
    const key = mergeKeyOf(kind, subject, atMs);
    const open = key === undefined ? undefined : this.#statements.open.get(key, Math.max(this.#handed, this.#openedAt));
    if (open !== undefined) {
      const merged = mergedOf(kind, String(open["json"]), json);
      change.bytes += sizeOf(kind, Buffer.byteLength(merged)) - sizeOf(kind, Buffer.byteLength(String(open["json"])));
      this.#statements.merge.run(merged, Number(open["sequence"]));
      note(change, String(open["id"]), pushed);
      return;
    }
    const { changes } = this.#statements.insert.run(id, kind, atMs, json, REPORT_POLICIES[kind].rank, key ?? null);
    if (Number(changes) === 0) return;
    change.rows += 1;
    change.bytes += sizeOf(kind, Buffer.byteLength(json));
    note(change, id, pushed);
  }

  /** What has just come and would go first is refused: nothing is acknowledged to be given up at once. */
  #makeRoom(change: Change): void {
    const { bytesMax } = this.#options;
    for (;;) {
      const [rows, bytes] = [this.#rows + change.rows, this.#bytes + change.bytes];
      if (bytes <= bytesMax) break;
      // So many of the mean size, at least one: what goes is not much more than what came.
      const count = Math.max(1, Math.floor(((bytes - bytesMax) * rows) / bytes));
      const gone = this.#statements.drop.all(this.#handed, KEPT_RANK, count);
      if (gone.length === 0) break;
      change.rows -= gone.length;
      for (const row of gone) {
        const kind = String(row["kind"]);
        change.bytes -= sizeOf(kind, Number(row["bytes"]));
        const fresh = change.pushedInto.get(String(row["id"])) ?? [];
        for (const pushed of fresh) change.refused.add(pushed);
        const lost = Number(row["reports"]) - fresh.length;
        if (lost > 0) change.dropped.set(kind, (change.dropped.get(kind) ?? 0) + lost);
      }
    }
    if (change.dropped.size > 0) this.#sayDropped(change);
  }

  /** In the transaction that gives them up: what is lost is never lost unsaid. */
  #sayDropped(change: Change): void {
    const { clock, random } = this.#options;
    const json = JSON.stringify(Object.fromEntries(change.dropped));
    const done = Promise.withResolvers<void>();
    const id = `${DROPPED}/${random.uuid()}`;
    this.#keep({ kind: DROPPED, subject: "queue", id, json, atMs: Math.floor(clock.nowMs()), done }, change);
  }

  /** Where the disk refuses the mark, delivery goes on: it is what makes room. */
  #hand(sequence: number): void {
    if (sequence <= this.#handed) return;
    this.#handed = sequence;
    try {
      this.#statements.hand.run(sequence);
    } catch (error) {
      if (!isFailure(error)) throw error;
      this.#options.events.storageFailed(error);
    }
  }
}

type Statements = ReturnType<typeof statementsOf>;

function statementsOf(database: Database) {
  const prepare = (sql: string): Statement => database.prepare(sql);
  const gone = "RETURNING id, kind, reports, octet_length(json) AS bytes";
  return {
    total: prepare(`SELECT count(*) AS rows, coalesce(max(sequence), 0) AS last,
      total(iif(kind = '${DROPPED}', 0, octet_length(json) + ${ROW_BYTES})) AS bytes FROM report`),
    handed: prepare("SELECT sequence FROM handed"),
    hand: prepare("UPDATE handed SET sequence = ?"),
    insert: prepare("INSERT OR IGNORE INTO report (id, kind, at_ms, json, rank, merge_key) VALUES (?, ?, ?, ?, ?, ?)"),
    open: prepare(
      "SELECT sequence, id, json FROM report WHERE merge_key = ? AND sequence > ? ORDER BY sequence DESC LIMIT 1",
    ),
    merge: prepare("UPDATE report SET json = ?, reports = reports + 1 WHERE sequence = ?"),
    oldest: prepare(
      "SELECT sequence, id, kind, at_ms, json, octet_length(json) AS bytes FROM report ORDER BY sequence LIMIT ?",
    ),
    acknowledge: prepare(`DELETE FROM report WHERE sequence <= ? ${gone}`),
    drop: prepare(`DELETE FROM report WHERE sequence IN
      (SELECT sequence FROM report WHERE sequence > ? AND rank < ? ORDER BY rank, sequence LIMIT ?) ${gone}`),
  };
}

function note({ pushedInto }: Change, id: string, pushed: Pushed): void {
  const known = pushedInto.get(id);
  if (known === undefined) pushedInto.set(id, [pushed]);
  else known.push(pushed);
}

function mergedOf(kind: ReportKind, earlier: string, later: string): string {
  const { merging } = REPORT_POLICIES[kind];
  assert(merging !== undefined, "what has a merge key can be merged");
  return JSON.stringify(merging.merge(JSON.parse(earlier), JSON.parse(later)));
}

/** What says that others were given up is one record or two, and takes no room from them. */
function sizeOf(kind: string, jsonBytes: number): number {
  return kind === DROPPED ? 0 : jsonBytes + ROW_BYTES;
}

function reject(failure: Failure): Promise<void> {
  return Promise.reject(failure);
}

function reportOf(row: Row): NodeReport {
  const { id, kind, json } = row;
  return { id: String(id), kind: String(kind), atMs: Number(row["at_ms"]), json: String(json) };
}
