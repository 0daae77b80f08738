/** Which responses are on disk: rows in SQLite. A row's commit is what makes a body stored, its removal what drops it. */
import { checkSchema, type Database, openDatabase } from "#platform/sqlite/database.ts";
import type { BodySeal } from "./body-file.ts";
import { bytesOnDisk, digestOf, type IndexedResponse, isSameVariant, responseOf } from "./disk-row.ts";
import { MIGRATIONS, prepareStatements, type Statements } from "./disk-schema.ts";
import { EvictionPolicy, FREQUENCY_MAX, hashOf, historyEntriesFor } from "./eviction-policy.ts";
import { formatHead } from "./head-text.ts";
import { TARGET_VARIANTS_MAX, type Uses } from "./memory-tier.ts";
import { type OpenOrder, type SweepPlace, sweptRows } from "./purge-sweep.ts";
import { formatOrder, parseOrder } from "./purge-text.ts";
import type { PurgeOrder } from "./purging.ts";
import { cacheKeyOf, type ResponseHead, tagsOf } from "./stored-response.ts";

/** A megabyte: what a checkpoint copies at once, while the event loop stands still. */
const CHECKPOINT_PAGES = 256;
/** Evicted in one transaction. */
const EVICTED_AT_ONCE = 64;

/** A row whose body is to be removed. */
export interface DroppedRow {
  readonly file: string;
  readonly bytes: number;
}

export class DiskIndex implements Disposable {
  readonly #database: Database;
  readonly #statements: Statements;
  readonly #policy: EvictionPolicy;

  /** Throws `storage-failed` where the file is no index or another process has it. */
  constructor(path: string, bytesMax: number) {
    this.#database = openDatabase(path, { migrations: MIGRATIONS, durability: "normal" });
    try {
      checkSchema(this.#database, path, MIGRATIONS);
      this.#database.exec("PRAGMA locking_mode = EXCLUSIVE");
      // A checkpoint that waits for the disk is a pause of the event loop; `MachineCrash` has what that costs.
      this.#database.exec("PRAGMA synchronous = OFF");
      this.#database.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
      this.#statements = prepareStatements(this.#database);
      this.#database.transaction(() => this.#statements.lock.run());
      const clock = Number(this.#statements.least.get()?.["priority"]);
      this.#policy = new EvictionPolicy({ historyEntries: historyEntriesFor(bytesMax), clock });
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  /** Reads all of it: seconds for a million rows. */
  isSound(): boolean {
    return this.#database.prepare("PRAGMA integrity_check(1)").get()?.["integrity_check"] === "ok";
  }

  /** Waits until all that was written is on the disk. */
  settle(): void {
    this.#database.exec("PRAGMA synchronous = FULL");
    this.#database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
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
      const known = Math.max(0, ...same.map(({ frequency }) => frequency));
      const frequency = Math.max(
        Math.min(FREQUENCY_MAX, known + 1),
        this.#policy.firstFrequency(hashOfRow(cacheKey, slice, variant)),
      );
      const { lastInsertRowid } = this.#statements.insert.run(
        ...[cacheKey, slice ?? null, site, key, variant, text, file, seal.bodyBytes, seal.slices, digest],
        ...[bytes, requestedAtMs, frequency, this.#policy.priorityOf(frequency, bytes)],
      );
      for (const tag of tagsOf(head.fields)) this.#statements.tag.run(tag, lastInsertRowid);
      return { bytes, dropped };
    });
  }

  hasRow(id: number): boolean {
    return this.#statements.row.get(id) !== undefined;
  }

  /** After a successful validation: another head for the same body. False where the row is of another body, or none. */
  update(head: ResponseHead, isOfBody: (row: IndexedResponse) => boolean): boolean {
    const text = formatHead(head);
    const row = this.find(cacheKeyOf(head), head.slice).found.find((other) => isSameVariant(other.head, head));
    if (row === undefined || !isOfBody(row)) return false;
    const { id } = row;
    const digest = digestOf(text, head, row);
    this.#database.transaction(() => {
      this.#statements.update.run(text, digest, head.requestedAtMs, id);
      this.#statements.untag.run(id);
      for (const tag of tagsOf(head.fields)) this.#statements.tag.run(tag, id);
    });
    return true;
  }

  drop(ids: readonly number[]): DroppedRow[] {
    return this.#database.transaction(() => this.#delete(ids));
  }

  remove(cacheKey: string): DroppedRow[] {
    return this.#database.transaction(() =>
      this.#delete(this.#statements.target.all(cacheKey).map((row) => Number(row["id"]))),
    );
  }

  /** What is worth least, `bytes` of it or some more. */
  evict(bytes: number): DroppedRow[] {
    return this.#database.transaction(() => {
      const dropped: DroppedRow[] = [];
      let freed = 0;
      for (const row of this.#statements.worthLeast.all(EVICTED_AT_ONCE)) {
        if (freed >= bytes) break;
        freed += Number(row["bytes"]);
        const slice = typeof row["slice"] === "number" ? row["slice"] : undefined;
        const hash = hashOfRow(String(row["cache_key"]), slice, String(row["variant"]));
        this.#policy.evicted(hash, Number(row["frequency"]), Number(row["priority"]));
        dropped.push(...this.#delete([Number(row["id"])]));
      }
      return dropped;
    });
  }

  recordUses(used: readonly Uses[]): void {
    this.#database.transaction(() => {
      for (const { cacheKey, slice, uses } of used) {
        for (const row of this.#statements.uses.all(cacheKey, slice ?? null)) {
          const frequency = Math.min(FREQUENCY_MAX, Number(row["frequency"]) + uses);
          const priority = this.#policy.priorityOf(frequency, Number(row["bytes"]));
          this.#statements.used.run(frequency, priority, Number(row["id"]));
        }
      }
    });
  }

  /** Durable when it returns; answers the number to end it by. */
  addOrder(order: PurgeOrder): number {
    return Number(this.#statements.addOrder.run(formatOrder(order)).lastInsertRowid);
  }

  /** What an earlier run did not sweep to its end. An order that is none any more expires all there is. */
  openOrders(nowMs: number): readonly OpenOrder[] {
    return this.#statements.orders.all().map((row) => {
      const order = parseOrder(String(row["purge_order"])) ?? { kind: "expire" as const, atMs: nowMs };
      return { id: Number(row["id"]), order };
    });
  }

  /** Removes or softens some of what the order names, from a place on; the last step ends the order. */
  sweep({ id, order }: OpenOrder, from: SweepPlace): { readonly next?: SweepPlace; readonly dropped: DroppedRow[] } {
    return this.#database.transaction(() => {
      const { ids, next } = sweptRows(this.#statements, order, from);
      const isSoft = order.kind === "purge" && order.spec.soft;
      const dropped = isSoft ? [] : this.#delete(ids);
      if (isSoft) for (const row of ids) this.#statements.soften.run(order.spec.atMs, row);
      if (next === undefined) this.#statements.endOrder.run(id);
      return { ...(next === undefined ? {} : { next }), dropped };
    });
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #delete(ids: readonly number[]): DroppedRow[] {
    return ids.flatMap((id) => {
      const row = this.#statements.delete.get(id);
      return row === undefined ? [] : [{ file: String(row["file"]), bytes: Number(row["bytes"]) }];
    });
  }
}

function hashOfRow(cacheKey: string, slice: number | undefined, variant: string): number {
  return hashOf(`${cacheKey} ${slice ?? ""} ${variant}`);
}
