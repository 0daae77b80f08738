/** Small published objects in memory, limited by their bytes: the least recently used leaves first. */
import type { Digest } from "#domain/content/release.ts";

/** Larger ones are as fast from the page cache. */
export const OBJECT_BYTES_MAX = 256 * 1024;
/** What an entry costs beside its bytes. */
const ENTRY_BYTES = 512;

export class ObjectMemory {
  readonly #bytesMax: number;
  /** In order of use, the least recent first. */
  readonly #objects = new Map<Digest, Uint8Array>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  takes(sizeBytes: number): boolean {
    return sizeBytes <= Math.min(OBJECT_BYTES_MAX, this.#bytesMax - ENTRY_BYTES);
  }

  get(digest: Digest): Uint8Array | undefined {
    const bytes = this.#objects.get(digest);
    if (bytes === undefined) return undefined;
    this.#objects.delete(digest);
    this.#objects.set(digest, bytes);
    return bytes;
  }

  put(digest: Digest, bytes: Uint8Array): void {
    this.#drop(digest);
    this.#objects.set(digest, bytes);
    this.#bytes += bytes.byteLength + ENTRY_BYTES;
    for (const oldest of this.#objects.keys()) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#drop(oldest);
    }
  }

  #drop(digest: Digest): void {
    const bytes = this.#objects.get(digest);
    if (bytes === undefined) return;
    this.#objects.delete(digest);
    this.#bytes -= bytes.byteLength + ENTRY_BYTES;
  }
}
