/**
 * The copies that a front process has of what the main process has in memory: found by the very fields that the main
 * process told its variants apart by, and limited by their bytes and their number.
 */
import type { Fields } from "#domain/http/fields.ts";
import { variantKey } from "../caching/variants.ts";
import { memoryBytesOf } from "../store/memory-bytes.ts";
import { TARGET_VARIANTS_MAX } from "../store/memory-tier.ts";
import { PurgeMarks, type PurgeOrder } from "../store/purging.ts";
import { cacheKeyOf, type StoredResponse } from "../store/stored-response.ts";

/** Of one front process: a tenth of what hot things take of an edge with the default memory would be enough. */
export const COPIES_BYTES_MAX = 64 * 1024 * 1024;
/** A purge looks at each of them: some milliseconds. */
export const COPIES_MAX = 16_384;
/** A larger one is sent by the main process, whose copy it is: it would push out too much. */
export const COPY_BODY_BYTES_MAX = 1024 * 1024;
/** Targets whose use is told at once; of the others it shows when they are asked for again. */
export const USED_MAX = 4_096;

interface Target {
  readonly cacheKey: string;
  readonly site: string;
  readonly varyNames: readonly string[];
  /** By `variantKey`. */
  readonly variants: Map<string, StoredResponse>;
  bytes: number;
  /** Since it was last looked at for eviction, and since it was last told. */
  isUsed: boolean;
  isToldUsed: boolean;
}

export class Copies {
  /** By cache key; the longest there first, but those that were used are passed over once. */
  readonly #targets = new Map<string, Target>();
  #used: string[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#targets.size;
  }

  findInMemory(cacheKey: string, request: Fields): StoredResponse | undefined {
    const target = this.#targets.get(cacheKey);
    if (target === undefined) return undefined;
    const { varyNames, variants } = target;
    const found = variants.get(varyNames.length === 0 ? "" : variantKey(varyNames, request));
    if (found === undefined) return undefined;
    target.isUsed = true;
    if (!target.isToldUsed && this.#used.length < USED_MAX) {
      target.isToldUsed = true;
      this.#used.push(cacheKey);
    }
    return found;
  }

  /** Its `varyNames` are all that tell the variants of its target apart. */
  put(stored: StoredResponse): void {
    const cacheKey = cacheKeyOf(stored);
    const { site, varyNames, variant } = stored;
    const known = this.#targets.get(cacheKey);
    const isAlike = known !== undefined && known.varyNames.join() === varyNames.join();
    const isRoomInTarget = isAlike && (known.variants.has(variant) || known.variants.size < TARGET_VARIANTS_MAX);
    if (!isRoomInTarget) this.drop(cacheKey);
    const fresh = { cacheKey, site, varyNames, variants: new Map(), bytes: 0, isUsed: false, isToldUsed: false };
    const target: Target = isRoomInTarget ? known : fresh;
    const before = target.variants.get(variant);
    const bytes = memoryBytesOf(stored) - (before === undefined ? 0 : memoryBytesOf(before));
    target.variants.set(variant, stored);
    target.bytes += bytes;
    this.#bytes += bytes;
    this.#targets.set(cacheKey, target);
    this.#makeRoom();
  }

  drop(cacheKey: string): void {
    const target = this.#targets.get(cacheKey);
    if (target === undefined) return;
    this.#targets.delete(cacheKey);
    this.#bytes -= target.bytes;
  }

  /** Of a site, or all. */
  forget(site: string | undefined): void {
    for (const target of this.#targets.values())
      if (site === undefined || target.site === site) this.drop(target.cacheKey);
  }

  /** What a purge is for leaves, also where the purge is a soft one: the main process knows what is left of it. */
  apply(order: PurgeOrder): void {
    const marks = new PurgeMarks();
    marks.add(order);
    for (const { cacheKey, variants } of this.#targets.values())
      if ([...variants.values()].some((stored) => marks.applyTo(stored) !== stored)) this.drop(cacheKey);
  }

  /** Cache keys of what was found since it was last asked. */
  takeUsed(): readonly string[] {
    const used = this.#used;
    this.#used = [];
    for (const cacheKey of used) {
      const target = this.#targets.get(cacheKey);
      if (target !== undefined) target.isToldUsed = false;
    }
    return used;
  }

  #makeRoom(): void {
    while (this.#bytes > COPIES_BYTES_MAX || this.#targets.size > COPIES_MAX) {
      const [oldest] = this.#targets.values();
      if (oldest === undefined) return;
      this.#targets.delete(oldest.cacheKey);
      if (oldest.isUsed) {
        oldest.isUsed = false;
        this.#targets.set(oldest.cacheKey, oldest);
      } else this.#bytes -= oldest.bytes;
    }
  }
}
