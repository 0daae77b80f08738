/** The store of a node, for all its pull sites: a memory tier in front of a disk tier, or memory alone. */
import type { PurgeSpec } from "#domain/content/purge.ts";
import type { Fields } from "#domain/http/fields.ts";
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";
import type { IndexedResponse } from "./disk-index.ts";
import { DiskTier, type DiskWriting, type StoreEvents, type StoreUsage } from "./disk-tier.ts";
import { MemoryTier } from "./memory-tier.ts";
import { asReceived, isPurged, RecentPurges } from "./purging.ts";
import { type ResponseHead, type StoredResponse, softened } from "./stored-response.ts";

/** Larger bodies are written to disk while they arrive and read from it slice by slice: memory never has them whole. */
export const MEMORY_BODY_BYTES_MAX = 1024 * 1024;
/** Without a disk: larger ones would push out everything else. */
export const DISKLESS_BODY_BYTES_MAX = 64 * 1024 * 1024;

export interface ResponseStoreOptions {
  /** Without it there is memory only. */
  readonly folder?: string;
  readonly diskBytesMax: number;
  readonly memoryBytesMax: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: StoreEvents;
}

/** A response that is stored while it arrives. */
export interface Storing {
  /** Never waits. */
  write(chunk: Uint8Array): void;
  /** In memory at once; resolves once the disk has it too, or has refused it. */
  finish(): Promise<void>;
  abandon(): Promise<void>;
}

export class ResponseStore implements AsyncDisposable {
  /** The largest body that is stored. */
  readonly bodyBytesMax: number;
  readonly #options: ResponseStoreOptions;
  readonly #memory: MemoryTier;
  readonly #disk: DiskTier | undefined;
  readonly #memoryBodyBytesMax: number;
  readonly #purges = new RecentPurges();
  /** By row; as many as connections ask at once. */
  readonly #loads = new Map<number, Promise<StoredResponse | undefined>>();
  /** How often something was taken out: what was read from disk meanwhile may be that. */
  #removals = 0;

  constructor(options: ResponseStoreOptions, disk: DiskTier | undefined) {
    this.#options = options;
    this.#disk = disk;
    this.#memory = new MemoryTier(options.memoryBytesMax);
    this.#memoryBodyBytesMax = disk === undefined ? DISKLESS_BODY_BYTES_MAX : MEMORY_BODY_BYTES_MAX;
    this.bodyBytesMax = disk?.bodyBytesMax ?? Math.min(DISKLESS_BODY_BYTES_MAX, options.memoryBytesMax);
  }

  /** A promise only where the disk has to be read. */
  find(
    cacheKey: string,
    request: Fields,
    slice?: number,
  ): StoredResponse | undefined | Promise<StoredResponse | undefined> {
    const inMemory = this.#memory.find(cacheKey, request, slice);
    const row = inMemory === undefined ? this.#disk?.find(cacheKey, request, slice) : undefined;
    if (inMemory !== undefined || row !== undefined) this.#disk?.touch(cacheKey);
    if (row === undefined || this.#disk === undefined) return inMemory;
    if (row.bodyBytes > this.#memoryBodyBytesMax) return { ...row.head, body: this.#disk.fileBodyOf(row) };
    const loading = this.#loads.get(row.id) ?? this.#load(this.#disk, row, cacheKey, request);
    this.#loads.set(row.id, loading);
    return loading;
  }

  /** Memory alone: what an answer at once is made of. */
  findInMemory(cacheKey: string, request: Fields): StoredResponse | undefined {
    const found = this.#memory.find(cacheKey, request);
    if (found !== undefined) this.#disk?.touch(cacheKey);
    return found;
  }

  /** Whether any variant of the whole is stored. */
  has(cacheKey: string): boolean {
    return this.#memory.has(cacheKey) || this.#disk?.has(cacheKey) === true;
  }

  /** `isWanted` is asked again when all is there. */
  begin(head: ResponseHead, isWanted: () => boolean): Storing {
    const isStillWanted = () => isWanted() && !this.#purges.has(head);
    let chunks: Uint8Array[] = [];
    let bytes = 0;
    let onDisk: DiskWriting | undefined;
    const toDisk = () => {
      onDisk = this.#disk?.begin(head, isStillWanted);
      for (const chunk of chunks) onDisk?.write(chunk);
      chunks = [];
    };
    return {
      write: (chunk) => {
        bytes += chunk.byteLength;
        if (bytes > this.bodyBytesMax) {
          void onDisk?.abandon();
          onDisk = undefined;
          chunks = [];
          return;
        }
        if (bytes - chunk.byteLength > this.#memoryBodyBytesMax) return onDisk?.write(chunk);
        chunks.push(chunk);
        if (bytes > this.#memoryBodyBytesMax) toDisk();
      },
      finish: async () => {
        if (bytes > this.bodyBytesMax) return;
        if (bytes > this.#memoryBodyBytesMax) return await onDisk?.finish();
        if (!isStillWanted()) return;
        const body = Buffer.concat(chunks);
        this.#memory.put({ ...head, body });
        chunks = [body];
        toDisk();
        await onDisk?.finish();
      },
      abandon: async () => await onDisk?.abandon(),
    };
  }

  /** After a successful validation: another head for the same body. */
  update(validated: StoredResponse): void {
    if (this.#purges.has(validated)) return;
    if (validated.body instanceof Uint8Array) this.#memory.put(validated);
    const { body: _, ...head } = validated;
    this.#disk?.update(head);
  }

  /** All variants and slices of a target. */
  remove(cacheKey: string): void {
    this.#removals += 1;
    this.#memory.remove(cacheKey);
    this.#disk?.remove(cacheKey);
  }

  /** What was asked for before `atMs`, or before now if that is sooner, also what arrives later; answers how many it found. May be given again. */
  purge(given: PurgeSpec): number {
    const spec = asReceived(given, this.#options.clock.nowMs());
    this.#removals += 1;
    this.#purges.add(spec);
    const change = (response: StoredResponse): StoredResponse | undefined => {
      if (!isPurged(spec, response)) return response;
      return spec.soft ? { ...response, freshness: softened(response.freshness, spec.atMs) } : undefined;
    };
    const inMemory = this.#memory.change(change);
    return this.#disk === undefined ? inMemory : this.#disk.purge(spec);
  }

  /** Removes what was asked for before `atMs`: of one site, or of all. */
  expireStoredBefore(site: string | "all-sites", atMs: number): number {
    if (site !== "all-sites") return this.purge({ site, match: { kind: "all" }, soft: false, atMs });
    this.#removals += 1;
    this.#purges.expireBefore(atMs);
    const inMemory = this.#memory.change((response) => (response.requestedAtMs < atMs ? undefined : response));
    return this.#disk === undefined ? inMemory : this.#disk.expireBefore(atMs);
  }

  /** Of the disk, where there is one. */
  usage(): StoreUsage {
    const { bytes, objects } = this.#memory;
    return this.#disk?.usage ?? { bytes, bytesMax: this.#options.memoryBytesMax, objects };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#disk?.[Symbol.asyncDispose]();
  }

  async #load(
    disk: DiskTier,
    row: IndexedResponse,
    cacheKey: string,
    request: Fields,
  ): Promise<StoredResponse | undefined> {
    const removals = this.#removals;
    try {
      const body = await disk.read(row);
      if (body === undefined || removals !== this.#removals) return undefined;
      const newer = this.#memory.find(cacheKey, request, row.head.slice);
      if (newer !== undefined) return newer;
      const response = { ...row.head, body };
      this.#memory.put(response);
      return response;
    } finally {
      this.#loads.delete(row.id);
    }
  }
}

/** Throws `storage-failed` where the folder cannot be used, or another process has it. */
export async function openResponseStore(options: ResponseStoreOptions): Promise<ResponseStore> {
  const { folder, diskBytesMax: bytesMax, clock, random, events } = options;
  if (folder === undefined) return new ResponseStore(options, undefined);
  return new ResponseStore(options, await DiskTier.open({ folder, bytesMax, clock, random, events }));
}
