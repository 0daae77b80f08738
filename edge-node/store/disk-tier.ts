/** Responses on disk: bodies in files, their rows in the index; writing happens behind, within a quota. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Fields } from "#domain/http/fields.ts";
import type { Clock } from "#platform/clock.ts";
import { storageFailure } from "#platform/files/durable.ts";
import type { Random } from "#platform/random.ts";
import { isBrokenDatabase } from "#platform/sqlite/database.ts";
import { selectVariant } from "../caching/variants.ts";
import { BodyFileWriter, type BodySeal, isSealOf, removeFile, type Written } from "./body-file.ts";
import { DiskBodies } from "./disk-bodies.ts";
import { DiskIndex } from "./disk-index.ts";
import { bytesOnDisk, type IndexedResponse } from "./disk-row.ts";
import { DiskSpace, folderNames, type StoreUsage } from "./disk-space.ts";
import { MachineCrash } from "./machine-crash.ts";
import type { Uses } from "./memory-tier.ts";
import { type OpenOrder, SWEEP_START, type SweepPlace } from "./purge-sweep.ts";
import type { PurgeOrder } from "./purging.ts";
import type { FileBody, ResponseHead, StoredResponse } from "./stored-response.ts";
import { removeStrayFiles } from "./stray-files.ts";

/** Bodies that wait for the disk; a disk that is slower is passed by. */
export const WRITES_PENDING_BYTES_MAX = 32 * 1024 * 1024;
/** A part of the quota that one body may have, so that it does not push out all others. */
const BODY_QUOTA_RATIO = 0.25;
/** Uses written in one transaction: some milliseconds. */
const USES_AT_ONCE = 256;

export interface StoreEvents {
  /** Something stored could not be had: a miss. */
  lost(failure: Failure): void;
  /** Served, and not stored. */
  notStored(failure: Failure): void;
  evicted(objects: number, because: "memory-full" | "disk-quota"): void;
  used(usage: StoreUsage): void;
}

export interface DiskTierOptions {
  readonly folder: string;
  readonly bytesMax: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: StoreEvents;
}

export class DiskTier implements AsyncDisposable {
  readonly bodyBytesMax: number;
  readonly #options: DiskTierOptions;
  readonly #index: DiskIndex;
  readonly #space: DiskSpace;
  readonly #bodies: DiskBodies;
  readonly #crash: MachineCrash;
  readonly #run: string;
  readonly #writing = new Map<BodyFileWriter, Promise<unknown>>();
  readonly #strays: Promise<void>;
  readonly #orders: OpenOrder[];
  #place: SweepPlace = SWEEP_START;
  #files = 0;
  #isClosed = false;
  #isDamaged = false;

  private constructor(options: DiskTierOptions, { index, crash }: { index: DiskIndex; crash: MachineCrash }) {
    const { folder, bytesMax, events, clock, random } = options;
    this.#options = options;
    this.#index = index;
    this.#crash = crash;
    this.#space = new DiskSpace({ folder, bytesMax, index, onEvicted: (count) => events.evicted(count, "disk-quota") });
    const pathOf = (file: string) => this.#space.pathOf(file);
    this.#bodies = new DiskBodies({ pathOf, onLost: (row, error) => this.#lose(row, error) });
    this.#orders = [...index.openOrders(clock.nowMs())];
    this.bodyBytesMax = Math.floor(bytesMax * BODY_QUOTA_RATIO);
    this.#run = Buffer.from(random.bytes(6)).toString("hex");
    const isKept = (name: string) =>
      name.startsWith(this.#run) || this.#tried(() => this.#index.hasFile(name)) !== false;
    this.#strays = removeStrayFiles({ folder, isKept, isClosed: () => this.#isClosed });
    events.used(this.usage);
  }

  /** Throws `storage-failed` where the folder cannot be used; an index that is none any more is begun again, empty. */
  static async open(options: DiskTierOptions): Promise<DiskTier> {
    const { folder, bytesMax, events } = options;
    await makeFolders(folder);
    const path = join(folder, "index.sqlite");
    const crash = new MachineCrash(folder);
    const isSuspect = await crash.noteOpening();
    const opened = DiskTier.#opened(options, { path, crash, isSuspect });
    if (opened instanceof DiskTier) return opened;
    events.lost(opened);
    for (const name of [path, `${path}-wal`, `${path}-shm`]) await rm(name, { force: true });
    return new DiskTier(options, { index: new DiskIndex(path, bytesMax), crash });
  }

  /** The failure where the index is none, or not what was written. */
  static #opened(
    options: DiskTierOptions,
    { path, crash, isSuspect }: { readonly path: string; readonly crash: MachineCrash; readonly isSuspect: boolean },
  ): DiskTier | Failure {
    let index: DiskIndex | undefined;
    try {
      index = new DiskIndex(path, options.bytesMax);
      if (!isSuspect || index.isSound()) return new DiskTier(options, { index, crash });
      index[Symbol.dispose]();
      return new Failure("storage-failed", `${path}: the machine went down while it was written, and it is not whole`);
    } catch (error) {
      index?.[Symbol.dispose]();
      if (!isFailure(error) || !isBrokenDatabase(error)) throw error;
      return error;
    }
  }

  get usage(): StoreUsage {
    return this.#space.usage;
  }

  find(cacheKey: string, request: Fields, slice?: number): IndexedResponse | undefined {
    return this.#tried(() => {
      const { found, faulty } = this.#index.find(cacheKey, slice);
      if (faulty.length > 0) {
        this.#options.events.lost(
          new Failure("digest-mismatch", `the index's row of ${cacheKey} is not what was written`),
        );
        void this.#space.forget(this.#index.drop(faulty));
      }
      const head = selectVariant(
        found.map((row) => row.head),
        request,
      );
      return found.find((row) => row.head === head);
    });
  }

  has(cacheKey: string): boolean {
    return this.#tried(() => this.#index.has(cacheKey)) ?? false;
  }

  /** Losing some makes an eviction less exact, nothing else. */
  async recordUses(used: readonly Uses[]): Promise<void> {
    for (let at = 0; at < used.length && !this.#isClosed; at += USES_AT_ONCE) {
      this.#tried(() => this.#index.recordUses(used.slice(at, at + USES_AT_ONCE)));
      await setImmediate();
    }
  }

  /** The whole body, verified; `undefined`, counted and dropped where it is not what was stored. */
  read(row: IndexedResponse): Promise<Uint8Array | undefined> {
    return this.#bodies.read(row);
  }

  fileBodyOf(row: IndexedResponse): FileBody {
    return this.#bodies.fileBodyOf(row);
  }

  /** Takes a body's chunks as they come; `undefined` where too much waits for the disk already. */
  begin(head: ResponseHead, isStillWanted: () => boolean): DiskWriting | undefined {
    if (this.#isClosed || this.#pendingBytes() > WRITES_PENDING_BYTES_MAX) {
      this.#options.events.notStored(
        new Failure("overloaded", `${head.key}: ${WRITES_PENDING_BYTES_MAX} bytes wait for the disk`),
      );
      return undefined;
    }
    const file = `${this.#run}-${this.#files}`;
    this.#files += 1;
    let reserved = 0;
    const reserve = async (bytes: number): Promise<void> => {
      await this.#space.reserve(bytes, head.key);
      reserved += bytes;
    };
    const writer = new BodyFileWriter({ path: this.#space.pathOf(file), reserve });
    const ended = Promise.withResolvers<void>();
    this.#writing.set(writer, ended.promise);
    const settle = () => {
      this.#space.release(reserved);
      this.#writing.delete(writer);
      ended.resolve();
      this.#options.events.used(this.usage);
    };
    return {
      written: () => writer.written,
      write: (chunk) => {
        if (this.#pendingBytes() <= WRITES_PENDING_BYTES_MAX) return writer.write(chunk);
        void writer.abandon(new Failure("overloaded", `${head.key}: the disk is slower than the upstream`));
      },
      finish: async () => {
        try {
          const seal = await writer.finish();
          await reserve(Math.max(0, bytesOnDisk(head, seal) - reserved));
          return await this.#commit(head, file, seal, isStillWanted);
        } catch (error) {
          this.#options.events.notStored(asFailure(error, this.#options.folder));
          return false;
        } finally {
          settle();
        }
      },
      abandon: async () => {
        await writer.abandon(new Failure("unavailable", `${head.key}: did not arrive whole`));
        settle();
      },
    };
  }

  /** After a successful validation. False where what is stored is not this body, or nothing. */
  update({ body, ...head }: StoredResponse): boolean {
    const isOfBody = (row: IndexedResponse) =>
      body instanceof Uint8Array ? isSealOf(row, body) : row.file === body.file;
    return this.#tried(() => this.#index.update(head, isOfBody)) ?? false;
  }

  /** False once another response has taken its place, or it was removed. */
  isStored({ id }: IndexedResponse): boolean {
    return this.#tried(() => this.#index.hasRow(id)) ?? false;
  }

  remove(cacheKey: string): void {
    this.#tried(() => void this.#space.forget(this.#index.remove(cacheKey)));
  }

  /** Orders of an earlier run, or of this one, that are not swept to their end, the oldest first. */
  get orders(): readonly OpenOrder[] {
    return this.#orders;
  }

  /** To be swept by `sweepSome`; durable where the disk lets it, and in effect until this process ends where not. */
  addOrder(order: PurgeOrder): void {
    const id = this.#tried(() => this.#index.addOrder(order)) ?? -1;
    this.#orders.push({ id, order });
  }

  /** Removes or softens some rows of the oldest order; how many are left. Throws `storage-failed`, `disk-full`. */
  sweepSome(): { readonly left: number; readonly removed: Promise<void> } {
    const [first] = this.#orders;
    if (first === undefined || this.#isClosed) return { left: 0, removed: Promise.resolve() };
    const { next, dropped } = this.#index.sweep(first, this.#place);
    this.#place = next ?? SWEEP_START;
    if (next === undefined) this.#orders.shift();
    return { left: this.#orders.length, removed: this.#space.forget(dropped) };
  }

  /** What is being written is stored first. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#writing.values(), this.#strays]);
    await this.#space.forget([]);
    this.#tried(() => this.#index.settle());
    this.#index[Symbol.dispose]();
    if (!this.#isDamaged) await this.#crash.noteClosed().catch((error: unknown) => this.#note(error));
  }

  async #commit(head: ResponseHead, file: string, seal: BodySeal, isStillWanted: () => boolean): Promise<boolean> {
    const path = this.#space.pathOf(file);
    if (!isStillWanted()) {
      await removeFile(path);
      return false;
    }
    try {
      const { bytes, dropped } = this.#index.insert(head, file, seal);
      this.#space.added(bytes);
      void this.#space.forget(dropped);
      return true;
    } catch (error) {
      await removeFile(path);
      throw error;
    }
  }

  /** A disk that does not answer now may answer again; what is not there, or not what was stored, never comes back. */
  #lose(row: IndexedResponse, error: unknown): void {
    const failure = asFailure(error, this.#options.folder);
    this.#options.events.lost(failure);
    if (failure.code === "storage-failed") return;
    this.#tried(() => void this.#space.forget(this.#index.drop([row.id])));
  }

  /** The index's failure is a miss, not an error of the request. */
  #tried<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.#note(error);
      return undefined;
    }
  }

  /** What a damaged index has lost is begun again at the next start. */
  #note(error: unknown): void {
    const failure = asFailure(error, this.#options.folder);
    this.#options.events.lost(failure);
    if (this.#isDamaged || !isBrokenDatabase(failure)) return;
    this.#isDamaged = true;
    this.#crash
      .noteDamage()
      .catch((cause: unknown) => this.#options.events.lost(asFailure(cause, this.#options.folder)));
  }

  #pendingBytes(): number {
    let bytes = 0;
    for (const writer of this.#writing.keys()) bytes += writer.pendingBytes;
    return bytes;
  }
}

export interface DiskWriting {
  /** What of the body can be read from the disk already. */
  written(): Written | undefined;
  /** Never waits. */
  write(chunk: Uint8Array): void;
  /** Resolves once it is stored, to true, or counted as not stored. */
  finish(): Promise<boolean>;
  abandon(): Promise<void>;
}

async function makeFolders(folder: string): Promise<void> {
  try {
    for (const name of folderNames()) await mkdir(join(folder, "bodies", name), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw storageFailure(error, folder);
  }
}

/** What the system says; a bug stays one. */
export function asFailure(error: unknown, path: string): Failure {
  if (isFailure(error)) return error;
  if (error instanceof Error && "code" in error) return storageFailure(error, path);
  throw error;
}
