/** Responses in memory, limited by their bytes: the least recently used target leaves first, with its variants. */
import type { Fields } from "#domain/http/fields.ts";
import { variantKey } from "../caching/variants.ts";
import { cacheKeyOf, type ResponseHead, type StoredResponse } from "./stored-response.ts";

/** More variants of one target are a Vary on something that is never the same twice. */
export const TARGET_VARIANTS_MAX = 32;
/** What an entry costs beside its body: fields, key and the maps' own nodes. */
const ENTRY_OVERHEAD_BYTES = 1024;

export class MemoryTier {
  readonly #bytesMax: number;
  /** By cache key and slice, in order of use, the least recent first; the latest variant last. */
  readonly #targets = new Map<string, readonly StoredResponse[]>();
  /** Which slices there are, by cache key. */
  readonly #slices = new Map<string, Set<number>>();
  #bytes = 0;
  #objects = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get objects(): number {
    return this.#objects;
  }

  has(cacheKey: string): boolean {
    return this.#targets.has(cacheKey);
  }

  find(cacheKey: string, request: Fields, slice?: number): StoredResponse | undefined {
    const entry = entryOf(cacheKey, slice);
    const variants = this.#targets.get(entry);
    if (variants === undefined) return undefined;
    const found = findVariant(variants, request);
    if (found === undefined) return undefined;
    this.#targets.delete(entry);
    this.#targets.set(entry, variants);
    return found;
  }

  /** Not kept where it alone is over the limit; what it replaces is gone either way. */
  put(response: StoredResponse): void {
    const cacheKey = cacheKeyOf(response);
    const entry = entryOf(cacheKey, response.slice);
    const others = (this.#targets.get(entry) ?? []).filter((other) => !isSameVariant(other, response));
    const isKept = bytesOf(response) <= this.#bytesMax;
    this.#set(entry, isKept ? [...others, response].slice(-TARGET_VARIANTS_MAX) : others);
    for (const oldest of this.#targets.keys()) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#set(oldest, []);
    }
  }

  /** All variants and slices of a target. */
  remove(cacheKey: string): void {
    this.#set(cacheKey, []);
    for (const slice of [...(this.#slices.get(cacheKey) ?? [])]) this.#set(entryOf(cacheKey, slice), []);
  }

  /** Replaces each response by what `change` makes of it, `undefined` for none; answers how many it changed. */
  change(change: (response: StoredResponse) => StoredResponse | undefined): number {
    let changed = 0;
    for (const [entry, variants] of [...this.#targets]) {
      const kept = variants.map(change);
      const count = kept.filter((response, index) => response !== variants[index]).length;
      if (count > 0)
        this.#set(
          entry,
          kept.filter((response) => response !== undefined),
        );
      changed += count;
    }
    return changed;
  }

  #set(entry: string, variants: readonly StoredResponse[]): void {
    const olds = this.#targets.get(entry) ?? [];
    for (const old of olds) this.#count(old, -1);
    this.#targets.delete(entry);
    if (variants.length > 0) this.#targets.set(entry, variants);
    for (const response of variants) this.#count(response, 1);
    const [first = olds[0]] = variants;
    if (first?.slice !== undefined) this.#noteSlice(cacheKeyOf(first), first.slice, variants.length > 0);
  }

  #noteSlice(cacheKey: string, slice: number, isThere: boolean): void {
    const slices = this.#slices.get(cacheKey) ?? new Set();
    if (isThere) slices.add(slice);
    else slices.delete(slice);
    if (slices.size === 0) this.#slices.delete(cacheKey);
    else this.#slices.set(cacheKey, slices);
  }

  #count(response: StoredResponse, sign: 1 | -1): void {
    this.#bytes += sign * bytesOf(response);
    this.#objects += sign;
  }
}

function entryOf(cacheKey: string, slice: number | undefined): string {
  return slice === undefined ? cacheKey : `${cacheKey} ${slice}`;
}

/** The latest that was negotiated as this request would be. */
export function findVariant<T extends Pick<ResponseHead, "varyNames" | "variant">>(
  variants: readonly T[],
  request: Fields,
): T | undefined {
  return variants.findLast(({ varyNames, variant }) => variantKey(varyNames, request) === variant);
}

function isSameVariant(a: ResponseHead, b: ResponseHead): boolean {
  return a.variant === b.variant && a.varyNames.join() === b.varyNames.join();
}

function bytesOf({ body }: StoredResponse): number {
  return body.byteLength + ENTRY_OVERHEAD_BYTES;
}
