/** Responses in memory, limited by their bytes: the target that is worth least leaves first, with its variants. */
import type { Fields } from "#domain/http/fields.ts";
import { selectVariant } from "../caching/variants.ts";
import { EvictionPolicy, hashOf, historyEntriesFor } from "./eviction-policy.ts";
import { EvictionQueue } from "./eviction-queue.ts";
import { memoryBytesOf } from "./memory-bytes.ts";
import type { PurgeMarks } from "./purging.ts";
import { cacheKeyOf, type ResponseHead, type StoredResponse } from "./stored-response.ts";

/** More variants of one target are a Vary on something that is never the same twice. */
export const TARGET_VARIANTS_MAX = 32;
/** Looked at in one turn of the event loop: a millisecond of purges by tag. */
const SWEPT_AT_ONCE = 128;

/** A target, or one slice of it. */
export interface Uses {
  readonly cacheKey: string;
  readonly slice: number | undefined;
  readonly uses: number;
}

interface Entry {
  readonly name: string;
  readonly cacheKey: string;
  readonly slice: number | undefined;
  readonly slot: number;
  /** The latest last; none once it has left. */
  variants: readonly StoredResponse[];
  /** The only variant, where no request is answered by another: nothing has to be selected. */
  only: StoredResponse | undefined;
  bytes: number;
  /** The purge orders that were applied to it: up to this one. */
  purgedUpTo: number;
  /** Since they were last taken. */
  uses: number;
}

export class MemoryTier {
  readonly #bytesMax: number;
  readonly #onEvicted: (responses: number) => void;
  readonly #marks: PurgeMarks;
  readonly #queue: EvictionQueue;
  /** By cache key and slice. */
  readonly #entries = new Map<string, Entry>();
  readonly #bySlot: (Entry | undefined)[] = [];
  /** Which slices there are, by cache key. */
  readonly #slices = new Map<string, Set<number>>();
  #used: Entry[] = [];
  #sweep: { readonly order: number; readonly entries: Iterator<Entry> } | undefined;
  #sweptUpTo = 0;
  #bytes = 0;
  #objects = 0;

  /** `onEvicted` is told how many responses have left for want of room. */
  constructor(bytesMax: number, marks: PurgeMarks, onEvicted: (responses: number) => void = () => undefined) {
    this.#onEvicted = onEvicted;
    this.#bytesMax = bytesMax;
    this.#marks = marks;
    this.#queue = new EvictionQueue(new EvictionPolicy({ historyEntries: historyEntriesFor(bytesMax) }));
  }

  get bytes(): number {
    return this.#bytes;
  }

  get objects(): number {
    return this.#objects;
  }

  /** Targets that were used since `takeUses`. */
  get usedCount(): number {
    return this.#used.length;
  }

  has(cacheKey: string): boolean {
    const entry = this.#entries.get(cacheKey);
    return entry !== undefined && this.#isLeft(entry);
  }

  /** Notes the use. On the path of every hit: a look-up and two counters. */
  find(cacheKey: string, request: Fields, slice?: number): StoredResponse | undefined {
    const entry = this.#entries.get(nameOf(cacheKey, slice));
    if (entry === undefined || !this.#isLeft(entry)) return undefined;
    const found = entry.only ?? selectVariant(entry.variants, request);
    if (found === undefined) return undefined;
    this.#queue.touch(entry.slot);
    if (entry.uses === 0) this.#used.push(entry);
    entry.uses += 1;
    return found;
  }

  /** Notes a use by who has a copy of it. */
  touch(cacheKey: string): void {
    const entry = this.#entries.get(cacheKey);
    if (entry === undefined) return;
    this.#queue.touch(entry.slot);
    if (entry.uses === 0) this.#used.push(entry);
    entry.uses += 1;
  }

  /** The fields that tell the variants of a target apart, in order. */
  varyNamesOf(cacheKey: string): readonly string[] {
    const variants = this.#entries.get(cacheKey)?.variants ?? [];
    return [...new Set(variants.flatMap(({ varyNames }) => varyNames))].sort();
  }

  /** Not kept where it alone is over the limit; what it replaces is gone either way. */
  put(response: StoredResponse): void {
    const cacheKey = cacheKeyOf(response);
    const name = nameOf(cacheKey, response.slice);
    const entry = this.#entries.get(name);
    const kept = entry !== undefined && this.#isLeft(entry) ? entry.variants : [];
    const others = kept.filter((other) => !isSameVariant(other, response));
    const isKept = memoryBytesOf(response) <= this.#bytesMax;
    const variants = this.#fitting(isKept ? [...others, response] : others);
    if (this.#entries.has(name)) this.#replace(name, variants);
    else if (variants.length > 0) this.#add({ name, cacheKey, slice: response.slice }, variants);
  }

  /** Another head for a body that is here; what is newer here stays. True where the variant is here. */
  update(response: StoredResponse): boolean {
    const entry = this.#entries.get(nameOf(cacheKeyOf(response), response.slice));
    const current = entry?.variants.find((other) => isSameVariant(other, response));
    if (current === undefined) return false;
    if (isSameBody(current, response)) this.put(response);
    return true;
  }

  /** What was asked for before the head's response, and is the same variant: it is on disk, and this is old. */
  dropOlder(head: ResponseHead): void {
    const name = nameOf(cacheKeyOf(head), head.slice);
    const entry = this.#entries.get(name);
    const isOlder = (other: ResponseHead) => isSameVariant(other, head) && other.requestedAtMs < head.requestedAtMs;
    if (entry?.variants.some(isOlder))
      this.#replace(
        name,
        entry.variants.filter((other) => !isOlder(other)),
      );
  }

  /** All variants and slices of a target. */
  remove(cacheKey: string): void {
    this.#drop(cacheKey);
    for (const slice of [...(this.#slices.get(cacheKey) ?? [])]) this.#drop(nameOf(cacheKey, slice));
  }

  /** What was used since it was last asked, each target once. */
  takeUses(): readonly Uses[] {
    const used = this.#used.map(({ cacheKey, slice, uses }) => ({ cacheKey, slice, uses }));
    for (const entry of this.#used) entry.uses = 0;
    this.#used = [];
    return used;
  }

  /** The purge order up to which no entry is left that it is for. */
  get sweptUpTo(): number {
    return this.#sweptUpTo;
  }

  /** Applies the purges to some entries; false where all are done. */
  sweepSome(): boolean {
    if (this.#sweptUpTo === this.#marks.latest) return false;
    this.#sweep ??= { order: this.#marks.latest, entries: this.#entries.values() };
    for (let count = 0; count < SWEPT_AT_ONCE; count += 1) {
      const { done, value } = this.#sweep.entries.next();
      if (done === true) {
        this.#sweptUpTo = this.#sweep.order;
        this.#sweep = undefined;
        return this.#sweptUpTo !== this.#marks.latest;
      }
      this.#isLeft(value);
    }
    return true;
  }

  /** Applies the purges that came since; false where nothing of the entry is left. */
  #isLeft(entry: Entry): boolean {
    if (entry.purgedUpTo === this.#marks.latest) return true;
    entry.purgedUpTo = this.#marks.latest;
    const left = entry.variants.map((response) => this.#marks.applyTo(response)).filter((one) => one !== undefined);
    if (left.every((response, index) => response === entry.variants[index]) && left.length === entry.variants.length)
      return true;
    this.#replace(entry.name, left);
    return left.length > 0;
  }

  #fitting(variants: readonly StoredResponse[]): readonly StoredResponse[] {
    const latest = variants.slice(-TARGET_VARIANTS_MAX);
    while (bytesOf(latest) > this.#bytesMax) latest.shift();
    return latest;
  }

  #add(named: Pick<Entry, "name" | "cacheKey" | "slice">, variants: readonly StoredResponse[]): void {
    const bytes = bytesOf(variants);
    this.#makeRoom(bytes);
    const slot = this.#queue.add(hashOf(named.name), bytes);
    const entry = { ...named, slot, variants, only: onlyOf(variants), bytes, purgedUpTo: this.#marks.latest, uses: 0 };
    this.#entries.set(named.name, entry);
    this.#bySlot[slot] = entry;
    this.#bytes += bytes;
    this.#objects += variants.length;
    if (named.slice !== undefined) this.#noteSlice(named.cacheKey, named.slice, true);
  }

  #replace(name: string, variants: readonly StoredResponse[]): void {
    if (variants.length === 0) this.#drop(name);
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    const bytes = bytesOf(variants);
    this.#bytes += bytes - entry.bytes;
    this.#objects += variants.length - entry.variants.length;
    entry.variants = variants;
    entry.only = onlyOf(variants);
    entry.bytes = bytes;
    this.#queue.resize(entry.slot, bytes);
    this.#makeRoom(0);
  }

  #drop(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#queue.remove(entry.slot);
    this.#forget(entry);
  }

  #makeRoom(bytes: number): void {
    while (this.#bytes + bytes > this.#bytesMax) {
      const entry = this.#bySlot[this.#queue.evict() ?? -1];
      if (entry === undefined) return;
      this.#onEvicted(entry.variants.length);
      this.#forget(entry);
    }
  }

  /** Its slot is free already. Who noted its use still has the entry, and must not keep its bodies. */
  #forget(entry: Entry): void {
    this.#entries.delete(entry.name);
    this.#bySlot[entry.slot] = undefined;
    this.#bytes -= entry.bytes;
    this.#objects -= entry.variants.length;
    entry.variants = [];
    entry.only = undefined;
    if (entry.slice !== undefined) this.#noteSlice(entry.cacheKey, entry.slice, false);
  }

  #noteSlice(cacheKey: string, slice: number, isThere: boolean): void {
    const slices = this.#slices.get(cacheKey) ?? new Set();
    if (isThere) slices.add(slice);
    else slices.delete(slice);
    if (slices.size === 0) this.#slices.delete(cacheKey);
    else this.#slices.set(cacheKey, slices);
  }
}

function nameOf(cacheKey: string, slice: number | undefined): string {
  return slice === undefined ? cacheKey : `${cacheKey} ${slice}`;
}

function isSameVariant(a: ResponseHead, b: ResponseHead): boolean {
  return a.variant === b.variant && a.varyNames.join() === b.varyNames.join();
}

function isSameBody({ body: a }: StoredResponse, { body: b }: StoredResponse): boolean {
  return a === b || (a instanceof Uint8Array && b instanceof Uint8Array && Buffer.compare(a, b) === 0);
}

function onlyOf(variants: readonly StoredResponse[]): StoredResponse | undefined {
  const [first] = variants;
  return variants.length === 1 && first?.varyNames.length === 0 ? first : undefined;
}

function bytesOf(variants: readonly StoredResponse[]): number {
  return variants.reduce((sum, response) => sum + memoryBytesOf(response), 0);
}
