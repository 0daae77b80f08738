/** Responses on disk: bodies in files, their rows in the index; writing happens behind, within a quota. */
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { PurgeSpec } from "#domain/content/purge.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Fields } from "#domain/http/fields.ts";
import type { Clock } from "#platform/clock.ts";
import { storageFailure } from "#platform/files/durable.ts";
import type { Random } from "#platform/random.ts";
import { isBrokenDatabase } from "#platform/sqlite/database.ts";
import { BodyFileWriter, type BodySeal, openBody, readBody, removeFile } from "./body-file.ts";
import { bytesOnDisk, DiskIndex, type DroppedRow, type IndexedResponse } from "./disk-index.ts";
import { findVariant } from "./memory-tier.ts";
import type { FileBody, ResponseHead } from "./stored-response.ts";

/** Bodies that wait for the disk; a disk that is slower is passed by. */
export const WRITES_PENDING_BYTES_MAX = 32 * 1024 * 1024;
/** A part of the quota that one body may have, so that it does not push out all others. */
const BODY_QUOTA_RATIO = 0.25;
/** Uses are written down together: losing some makes an eviction less exact, nothing else. */
const TOUCH_MS = 10_000;
const TOUCHED_MAX = 10_000;
/** Folders that share the files. */
const FOLDERS = 64;

export interface StoreEvents {
  /** Something stored could not be had: a miss. */
  lost(failure: Failure): void;
  /** Served, and not stored. */
  notStored(failure: Failure): void;
  evicted(objects: number): void;
  used(usage: StoreUsage): void;
}

export interface StoreUsage {
  readonly bytes: number;
  readonly bytesMax: number;
  readonly objects: number;
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
  readonly #run: string;
  readonly #timer: Disposable;
  readonly #writing = new Map<BodyFileWriter, Promise<unknown>>();
  readonly #sweep: Promise<void>;
  #touched = new Set<string>();
  #files = 0;
  #bytes: number;
  #objects: number;
  #reservedBytes = 0;
  #isClosed = false;

  private constructor(options: DiskTierOptions, index: DiskIndex) {
    this.#options = options;
    this.#index = index;
    ({ bytes: this.#bytes, objects: this.#objects } = index.usage());
    this.bodyBytesMax = Math.floor(options.bytesMax * BODY_QUOTA_RATIO);
    this.#run = Buffer.from(options.random.bytes(6)).toString("hex");
    this.#timer = options.clock.every(TOUCH_MS, () => this.#flushTouched());
    this.#sweep = this.#sweepFiles();
    options.events.used(this.usage);
  }

  /** Throws `storage-failed` where the folder cannot be used; an index that is none any more is begun again, empty. */
  static async open(options: DiskTierOptions): Promise<DiskTier> {
    const { folder, events } = options;
    await makeFolders(folder);
    const path = join(folder, "index.sqlite");
    try {
      return new DiskTier(options, new DiskIndex(path));
    } catch (error) {
      if (!isFailure(error) || !isBrokenDatabase(error)) throw error;
      events.lost(error);
      for (const name of [path, `${path}-wal`, `${path}-shm`]) await rm(name, { force: true });
      return new DiskTier(options, new DiskIndex(path));
    }
  }

  get usage(): StoreUsage {
    return { bytes: this.#bytes + this.#reservedBytes, bytesMax: this.#options.bytesMax, objects: this.#objects };
  }

  find(cacheKey: string, request: Fields, slice?: number): IndexedResponse | undefined {
    return this.#tried(() => {
      const { found, faulty } = this.#index.find(cacheKey, slice);
      if (faulty.length > 0) {
        this.#options.events.lost(
          new Failure("digest-mismatch", `the index's row of ${cacheKey} is not what was written`),
        );
        void this.#forget(this.#index.drop(faulty));
      }
      const head = findVariant(
        found.map((row) => row.head),
        request,
      );
      return found.find((row) => row.head === head);
    });
  }

  has(cacheKey: string): boolean {
    return this.#tried(() => this.#index.has(cacheKey)) ?? false;
  }

  touch(cacheKey: string): void {
    this.#touched.add(cacheKey);
    if (this.#touched.size >= TOUCHED_MAX) this.#flushTouched();
  }

  /** The whole body, verified; `undefined`, counted and dropped where it is not what was stored. */
  async read(row: IndexedResponse): Promise<Uint8Array | undefined> {
    try {
      return await readBody(this.#pathOf(row.file), row);
    } catch (error) {
      this.#lose(row, error);
      return undefined;
    }
  }

  fileBodyOf(row: IndexedResponse): FileBody {
    return { byteLength: row.bodyBytes, open: () => this.#open(row) };
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
      await this.#makeRoom(bytes, head.key);
      this.#reservedBytes += bytes;
      reserved += bytes;
    };
    const writer = new BodyFileWriter({ path: this.#pathOf(file), reserve });
    const ended = Promise.withResolvers<void>();
    this.#writing.set(writer, ended.promise);
    const settle = () => {
      this.#reservedBytes -= reserved;
      this.#writing.delete(writer);
      ended.resolve();
      this.#options.events.used(this.usage);
    };
    return {
      write: (chunk) => {
        if (this.#pendingBytes() <= WRITES_PENDING_BYTES_MAX) return writer.write(chunk);
        void writer.abandon(new Failure("overloaded", `${head.key}: the disk is slower than the upstream`));
      },
      finish: async () => {
        try {
          const seal = await writer.finish();
          await reserve(Math.max(0, bytesOnDisk(head, seal) - reserved));
          await this.#commit(head, file, seal, isStillWanted);
        } catch (error) {
          this.#options.events.notStored(asFailure(error, this.#options.folder));
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

  /** After a successful validation; nothing where it is not stored. */
  update(head: ResponseHead): void {
    this.#tried(() => this.#index.update(head));
  }

  remove(cacheKey: string): void {
    this.#tried(() => void this.#forget(this.#index.remove(cacheKey)));
  }

  purge(spec: PurgeSpec): number {
    const { count, dropped } = this.#index.purge(spec);
    void this.#forget(dropped);
    return count;
  }

  expireBefore(atMs: number): number {
    const dropped = this.#index.expireBefore(atMs);
    void this.#forget(dropped);
    return dropped.length;
  }

  /** What is being written is stored first. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#timer[Symbol.dispose]();
    await Promise.all([...this.#writing.values(), this.#sweep]);
    this.#flushTouched();
    this.#index[Symbol.dispose]();
  }

  async #commit(head: ResponseHead, file: string, seal: BodySeal, isStillWanted: () => boolean): Promise<void> {
    const path = this.#pathOf(file);
    if (!isStillWanted()) return await removeFile(path);
    try {
      const { bytes, dropped } = this.#index.insert(head, file, seal);
      this.#bytes += bytes;
      this.#objects += 1;
      void this.#forget(dropped);
    } catch (error) {
      await removeFile(path);
      throw error;
    }
  }

  /** Evicts until `bytes` more are within the quota; throws `disk-full` where they never are. */
  async #makeRoom(bytes: number, key: string): Promise<void> {
    const over = () => this.#bytes + this.#reservedBytes + bytes - this.#options.bytesMax;
    if (over() > 0) this.#flushTouched();
    while (over() > 0) {
      const dropped = this.#index.evict(over());
      if (dropped.length === 0)
        throw new Failure("disk-full", `${key}: ${bytes} bytes more are over the store's quota`);
      this.#options.events.evicted(dropped.length);
      await this.#forget(dropped);
    }
  }

  /** At once in the count of bytes, soon on disk. */
  async #forget(dropped: readonly DroppedRow[]): Promise<void> {
    for (const { bytes } of dropped) this.#bytes -= bytes;
    this.#objects -= dropped.length;
    for (const { file } of dropped) await removeFile(this.#pathOf(file));
  }

  async #open(row: IndexedResponse) {
    try {
      const body = await openBody(this.#pathOf(row.file), row);
      const lose = (error: unknown) => this.#lose(row, error);
      return {
        async *read(start: number, last: number) {
          try {
            yield* body.read(start, last);
          } catch (error) {
            lose(error);
            throw error;
          }
        },
        [Symbol.asyncDispose]: () => body[Symbol.asyncDispose](),
      };
    } catch (error) {
      this.#lose(row, error);
      return undefined;
    }
  }

  #lose(row: IndexedResponse, error: unknown): void {
    const failure = asFailure(error, this.#options.folder);
    this.#options.events.lost(failure);
    this.#tried(() => void this.#forget(this.#index.drop([row.id])));
  }

  #flushTouched(): void {
    if (this.#touched.size === 0) return;
    const touched = this.#touched;
    this.#touched = new Set();
    this.#tried(() => this.#index.touch(touched, this.#options.clock.nowMs()));
  }

  /** The index's failure is a miss, not an error of the request. */
  #tried<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.#options.events.lost(asFailure(error, this.#options.folder));
      return undefined;
    }
  }

  #pendingBytes(): number {
    let bytes = 0;
    for (const writer of this.#writing.keys()) bytes += writer.pendingBytes;
    return bytes;
  }

  #pathOf(file: string): string {
    return join(this.#options.folder, "bodies", folderOf(file), file);
  }

  /** Removes what an earlier run left without a row. */
  async #sweepFiles(): Promise<void> {
    for (let folder = 0; folder < FOLDERS && !this.#isClosed; folder += 1) {
      const path = join(this.#options.folder, "bodies", String(folder));
      const names = await readdir(path).catch(() => []);
      for (const name of names) {
        if (this.#isClosed) return;
        const isKept = name.startsWith(this.#run) || this.#tried(() => this.#index.hasFile(name)) !== false;
        if (!isKept) await removeFile(join(path, name));
      }
    }
  }
}

export interface DiskWriting {
  /** Never waits. */
  write(chunk: Uint8Array): void;
  /** Resolves once it is stored, or counted as not stored. */
  finish(): Promise<void>;
  abandon(): Promise<void>;
}

function folderOf(file: string): string {
  return String(Number(file.split("-")[1]) % FOLDERS);
}

async function makeFolders(folder: string): Promise<void> {
  try {
    for (let name = 0; name < FOLDERS; name += 1)
      await mkdir(join(folder, "bodies", String(name)), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw storageFailure(error, folder);
  }
}

/** What the system says; a bug stays one. */
function asFailure(error: unknown, path: string): Failure {
  if (isFailure(error)) return error;
  if (error instanceof Error && "code" in error) return storageFailure(error, path);
  throw error;
}
