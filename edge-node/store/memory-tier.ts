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
  /** By cache key, in order of use, the least recent first; the latest variant last. */
  readonly #targets = new Map<string, readonly StoredResponse[]>();
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

  find(cacheKey: string, request: Fields): StoredResponse | undefined {
    const variants = this.#targets.get(cacheKey);
    if (variants === undefined) return undefined;
    const found = findVariant(variants, request);
    if (found === undefined) return undefined;
    this.#targets.delete(cacheKey);
    this.#targets.set(cacheKey, variants);
    return found;
  }

  /** Not kept where it alone is over the limit; what it replaces is gone either way. */
  put(response: StoredResponse): void {
    const cacheKey = cacheKeyOf(response.site, response.key);
    const others = (this.#targets.get(cacheKey) ?? []).filter((other) => !isSameVariant(other, response));
    const isKept = bytesOf(response) <= this.#bytesMax;
    this.#set(cacheKey, isKept ? [...others, response].slice(-TARGET_VARIANTS_MAX) : others);
    for (const oldest of this.#targets.keys()) {
      if (this.#bytes <= this.#bytesMax) break;
      this.delete(oldest);
    }
  }

  /** All variants of a target. */
  delete(cacheKey: string): void {
    this.#set(cacheKey, []);
  }

  /** Replaces each response by what `change` makes of it, `undefined` for none; answers how many it changed. */
  change(change: (response: StoredResponse) => StoredResponse | undefined): number {
    let changed = 0;
    for (const [cacheKey, variants] of [...this.#targets]) {
      const kept = variants.map(change);
      const count = kept.filter((response, index) => response !== variants[index]).length;
      if (count > 0)
        this.#set(
          cacheKey,
          kept.filter((response) => response !== undefined),
        );
      changed += count;
    }
    return changed;
  }

  #set(cacheKey: string, variants: readonly StoredResponse[]): void {
    for (const old of this.#targets.get(cacheKey) ?? []) this.#count(old, -1);
    this.#targets.delete(cacheKey);
    if (variants.length > 0) this.#targets.set(cacheKey, variants);
    for (const response of variants) this.#count(response, 1);
  }

  #count(response: StoredResponse, sign: 1 | -1): void {
    this.#bytes += sign * bytesOf(response);
    this.#objects += sign;
  }
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
