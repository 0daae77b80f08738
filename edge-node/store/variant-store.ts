/** What is stored for a request: an index of variants by cache key over the memory tier. */
import type { Fields } from "#domain/http/fields.ts";
import { variantKey } from "../caching/variants.ts";
import { MemoryTier } from "./memory-tier.ts";
import { idOf, type StoredResponse } from "./stored-response.ts";

/** More variants of one target are a Vary on something that is never the same twice. */
const TARGET_VARIANTS_MAX = 32;

type Variant = Pick<StoredResponse, "key" | "varyNames" | "variant"> & { readonly id: string };

export class VariantStore {
  readonly #memory: MemoryTier;
  /** By cache key, the latest variant last. */
  readonly #index = new Map<string, readonly Variant[]>();

  constructor(memoryBytesMax: number) {
    this.#memory = new MemoryTier(memoryBytesMax, (id, { key }) => this.#forget(id, key));
  }

  find(key: string, request: Fields): StoredResponse | undefined {
    const variants = this.#index.get(key);
    const found = variants?.findLast(({ varyNames, variant }) => variantKey(varyNames, request) === variant);
    return found && this.#memory.get(found.id);
  }

  /** Not kept where it alone is over the limit. */
  put(response: StoredResponse): void {
    const { key, varyNames, variant } = response;
    const id = idOf(response);
    this.#forget(id, key);
    if (!this.#memory.put(id, response)) return;
    const kept = [...(this.#index.get(key) ?? []), { key, varyNames, variant, id }];
    this.#index.set(key, kept.slice(-TARGET_VARIANTS_MAX));
    for (const old of kept.slice(0, -TARGET_VARIANTS_MAX)) this.#memory.delete(old.id);
  }

  /** All variants of a target. */
  remove(key: string): void {
    for (const { id } of this.#index.get(key) ?? []) this.#memory.delete(id);
    this.#index.delete(key);
  }

  #forget(id: string, key: string): void {
    const others = (this.#index.get(key) ?? []).filter((variant) => variant.id !== id);
    if (others.length === 0) this.#index.delete(key);
    else this.#index.set(key, others);
  }
}
