/** The store of a node, for all its pull sites: a memory tier in front of a disk tier, or memory alone. */
import type { PurgeSpec } from "#domain/content/purge.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Fields } from "#domain/http/fields.ts";
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";
import type { Written } from "./body-file.ts";
import type { IndexedResponse } from "./disk-row.ts";
import type { StoreUsage } from "./disk-space.ts";
import { DiskTier, type DiskWriting, type StoreEvents } from "./disk-tier.ts";
import { FillBudget } from "./fill-budget.ts";
import { MemoryTier } from "./memory-tier.ts";
import { asReceived, PurgeMarks, type PurgeOrder } from "./purging.ts";
import { cacheKeyOf, type ResponseHead, type StoredResponse } from "./stored-response.ts";
import { Sweeping } from "./sweeping.ts";
import { UseLog } from "./use-log.ts";

/** Larger bodies are written to disk while they arrive and read from it slice by slice: memory never has them whole. */
export const MEMORY_BODY_BYTES_MAX = 1024 * 1024;
/** Without a disk: larger ones would push out everything else. */
export const DISKLESS_BODY_BYTES_MAX = 64 * 1024 * 1024;

/** Uses are written down together: losing some makes an eviction less exact, nothing else. */
const USES_MS = 10_000;
const TOUCHED_MAX = 10_000;

export interface ResponseStoreOptions {
  /** Without it there is memory only. */
  readonly folder?: string;
  readonly diskBytesMax: number;
  readonly memoryBytesMax: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: StoreEvents;
}

/** Whoever has copies of stored responses. */
export interface CopyHolders {
  /** What is stored for a target is another, or gone, other than for want of room. */
  changed(cacheKey: string): void;
  /** Resolves once the order is in effect on the copies. */
  ordered(order: PurgeOrder): Promise<void>;
  /** Resolves once no copy is left of what has changed; `undefined` where that is so already. */
  readonly settling: Promise<void> | undefined;
}

/** A response that is stored while it arrives. */
export interface Storing {
  /** What of the body can be read from the disk already; `undefined` where it does not go there. */
  written(): Written | undefined;
  /** Whether all of it so far is in memory, to be stored there. */
  isInMemory(): boolean;
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
  readonly #marks = new PurgeMarks();
  readonly #memory: MemoryTier;
  readonly #fills: FillBudget;
  readonly #disk: DiskTier | undefined;
  readonly #sweeping: Sweeping;
  readonly #memoryBodyBytesMax: number;
  readonly #timer: Disposable;
  /** By row; as many as connections ask at once. */
  readonly #loads = new Map<number, Promise<StoredResponse | undefined>>();
  /** Of what is on disk alone; what is in memory counts its own. */
  readonly #uses = new UseLog();
  #holders: CopyHolders | undefined;
  #writingUses: Promise<void> = Promise.resolve();
  /** How often something was removed: what was read from disk meanwhile may be that. */
  #removals = 0;

  constructor(options: ResponseStoreOptions, disk: DiskTier | undefined) {
    const { memoryBytesMax, clock, events } = options;
    this.#options = options;
    this.#disk = disk;
    this.#fills = new FillBudget(options.memoryBytesMax);
    this.#memory = new MemoryTier(memoryBytesMax, this.#marks, (count) => options.events.evicted(count, "memory-full"));
    this.#memoryBodyBytesMax = disk === undefined ? DISKLESS_BODY_BYTES_MAX : MEMORY_BODY_BYTES_MAX;
    this.bodyBytesMax = disk?.bodyBytesMax ?? Math.min(DISKLESS_BODY_BYTES_MAX, memoryBytesMax);
    this.#timer = clock.every(USES_MS, () => this.#writeUses());
    const parts = { marks: this.#marks, memory: this.#memory, disk, clock };
    this.#sweeping = new Sweeping({ ...parts, onFailed: (failure) => events.lost(failure) });
    for (const { order } of disk?.orders ?? []) this.#marks.add(order);
    if (this.#marks.latest > 0) void this.#sweeping.start();
  }

  /** Tells them from now on. */
  lendTo(holders: CopyHolders): void {
    this.#holders = holders;
  }

  /** Resolves once nobody answers with a copy of what was changed or removed here; `undefined` where nobody does. */
  get settling(): Promise<void> | undefined {
    return this.#holders?.settling;
  }

  /** Notes that a copy of it was used. */
  touch(cacheKey: string): void {
    this.#memory.touch(cacheKey);
  }

  /** The fields that tell what is in memory for a target apart, in order. */
  varyNamesOf(cacheKey: string): readonly string[] {
    return this.#memory.varyNamesOf(cacheKey);
  }

  /** A promise only where the disk has to be read. */
  find(
    cacheKey: string,
    request: Fields,
    slice?: number,
  ): StoredResponse | undefined | Promise<StoredResponse | undefined> {
    const inMemory = this.findInMemory(cacheKey, request, slice);
    if (inMemory !== undefined || this.#disk === undefined) return inMemory;
    const row = this.#disk.find(cacheKey, request, slice);
    const head = row && this.#marks.applyTo(row.head);
    if (row === undefined || head === undefined) return undefined;
    this.#uses.note(cacheKey, slice);
    if (this.#uses.size >= TOUCHED_MAX) void this.#writeUses();
    if (row.bodyBytes > this.#memoryBodyBytesMax) return { ...head, body: this.#disk.fileBodyOf(row) };
    const loading = this.#loads.get(row.id) ?? this.#load(this.#disk, row, cacheKey, request);
    this.#loads.set(row.id, loading);
    return loading;
  }

  /** Memory alone: what an answer at once is made of. */
  findInMemory(cacheKey: string, request: Fields, slice?: number): StoredResponse | undefined {
    const found = this.#memory.find(cacheKey, request, slice);
    if (this.#memory.usedCount >= TOUCHED_MAX) void this.#writeUses();
    return found;
  }

  /** Whether any variant of the whole is stored. */
  has(cacheKey: string): boolean {
    return this.#memory.has(cacheKey) || this.#disk?.has(cacheKey) === true;
  }

  /** `isWanted` is asked again when all is there. */
  begin(head: ResponseHead, isWanted: () => boolean): Storing {
    const isStillWanted = () => isWanted() && !this.#marks.hasPurged(head);
    const held = this.#hold(head.key);
    let bytes = 0;
    let onDisk: DiskWriting | undefined;
    const toDisk = () => {
      onDisk = this.#disk?.begin(head, isStillWanted);
      for (const chunk of held.release()) onDisk?.write(chunk);
    };
    const toMemory = () => {
      const body = joined(held.release(), bytes);
      this.#memory.put({ ...head, body });
      this.#holders?.changed(cacheKeyOf(head));
      onDisk = this.#disk?.begin(head, isStillWanted);
      onDisk?.write(body);
    };
    return {
      written: () => onDisk?.written(),
      isInMemory: () => !held.isGivenUp && bytes <= this.#memoryBodyBytesMax,
      write: (chunk) => {
        bytes += chunk.byteLength;
        if (bytes > this.bodyBytesMax) {
          void onDisk?.abandon();
          onDisk = undefined;
          return held.giveUp();
        }
        if (bytes - chunk.byteLength > this.#memoryBodyBytesMax) return onDisk?.write(chunk);
        held.add(chunk);
        if (bytes > this.#memoryBodyBytesMax && !held.isGivenUp) toDisk();
      },
      finish: async () => {
        if (bytes > this.bodyBytesMax || held.isGivenUp) return;
        if (bytes <= this.#memoryBodyBytesMax && !isStillWanted()) return held.giveUp();
        if (bytes <= this.#memoryBodyBytesMax) toMemory();
        const isStored = await onDisk?.finish();
        if (isStored !== true) return;
        this.#memory.dropOlder(head);
        if (bytes > this.#memoryBodyBytesMax) this.#holders?.changed(cacheKeyOf(head));
      },
      abandon: async () => {
        held.giveUp();
        await onDisk?.abandon();
      },
    };
  }

  /** Chunks of a body that arrives, within the budget of all that do. */
  #hold(key: string) {
    const { events } = this.#options;
    const budget = this.#fills;
    let chunks: Uint8Array[] = [];
    let isGivenUp = false;
    const release = (): Uint8Array[] => {
      const released = chunks;
      for (const chunk of released) budget.give(chunk.byteLength);
      chunks = [];
      return released;
    };
    const giveUp = (): void => {
      isGivenUp = true;
      release();
    };
    return {
      get isGivenUp() {
        return isGivenUp;
      },
      release,
      giveUp,
      add(chunk: Uint8Array): void {
        if (isGivenUp) return;
        if (budget.take(chunk.byteLength)) chunks.push(chunk);
        else {
          giveUp();
          events.notStored(new Failure("overloaded", `${key}: too much of other bodies arrives at once`));
        }
      },
    };
  }

  /** After a successful validation: another head for the same body. Nothing where a newer body has taken its place. */
  update(validated: StoredResponse): void {
    if (this.#marks.hasPurged(validated)) return;
    const isInMemory = this.#memory.update(validated);
    const isStored = this.#disk === undefined || this.#disk.update(validated);
    if (!isInMemory && isStored && validated.body instanceof Uint8Array) this.#memory.put(validated);
    this.#holders?.changed(cacheKeyOf(validated));
  }

  /** All variants and slices of a target. */
  remove(cacheKey: string): void {
    this.#removals += 1;
    this.#memory.remove(cacheKey);
    this.#disk?.remove(cacheKey);
    this.#holders?.changed(cacheKey);
  }

  /**
   * What was asked for before `atMs`, or before now if that is sooner, also what arrives later. In effect and durable
   * when it returns; resolves once the tiers are swept, and the copies of other processes are gone. May be given again.
   */
  purge(given: PurgeSpec): Promise<void> {
    return this.#order({ kind: "purge", spec: asReceived(given, this.#options.clock.nowMs()) });
  }

  /** As a hard purge of what was asked for before `atMs`: of one site, or of all. */
  expireStoredBefore(site: string | "all-sites", atMs: number): Promise<void> {
    if (site !== "all-sites") return this.purge({ site, match: { kind: "all" }, soft: false, atMs });
    return this.#order({ kind: "expire", atMs });
  }

  /** Of the disk, where there is one. */
  usage(): StoreUsage {
    const { bytes, objects } = this.#memory;
    return this.#disk?.usage ?? { bytes, bytesMax: this.#options.memoryBytesMax, objects };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer[Symbol.dispose]();
    await this.#sweeping[Symbol.asyncDispose]();
    await this.#writeUses();
    await this.#disk?.[Symbol.asyncDispose]();
  }

  #order(order: PurgeOrder): Promise<void> {
    if (this.#marks.isFull) this.#sweeping.finish();
    this.#marks.add(order);
    const told = this.#holders?.ordered(order);
    this.#disk?.addOrder(order);
    const swept = this.#sweeping.start();
    return told === undefined ? swept : Promise.all([swept, told]).then(() => undefined);
  }

  /** One after the other; both logs are empty at once. */
  #writeUses(): Promise<void> {
    const used = [...this.#memory.takeUses(), ...this.#uses.take()];
    this.#writingUses = this.#writingUses.then(() => this.#disk?.recordUses(used));
    return this.#writingUses;
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
      const response = this.#marks.applyTo({ ...row.head, body });
      if (response !== undefined && disk.isStored(row)) {
        this.#memory.put(response);
        this.#holders?.changed(cacheKey);
      }
      return response;
    } finally {
      this.#loads.delete(row.id);
    }
  }
}

/** Memory of its own: of the shared pool it would keep more than its bytes. */
function joined(chunks: readonly Uint8Array[], bytes: number): Uint8Array {
  const body = Buffer.allocUnsafeSlow(bytes);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.byteLength;
  }
  return body;
}

/**
 * Throws `storage-failed` where the folder cannot be used, or another process has it. A disk that is full now leaves
 * memory alone: what is asked for is served.
 */
export async function openResponseStore(options: ResponseStoreOptions): Promise<ResponseStore> {
  const { folder, diskBytesMax: bytesMax, clock, random, events } = options;
  if (folder === undefined) return new ResponseStore(options, undefined);
  try {
    return new ResponseStore(options, await DiskTier.open({ folder, bytesMax, clock, random, events }));
  } catch (error) {
    if (!isFailure(error, "disk-full")) throw error;
    events.notStored(error);
    return new ResponseStore(options, undefined);
  }
}
