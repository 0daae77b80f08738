/** Responses in memory, limited by their bytes: the least recently used leaves first. */
import type { StoredResponse } from "./stored-response.ts";

/** What an entry costs beside its body: fields, key and the maps' own nodes. */
const ENTRY_OVERHEAD_BYTES = 1024;

export class MemoryTier {
  readonly #bytesMax: number;
  readonly #onEvict: (id: string, response: StoredResponse) => void;
  /** In order of use, the least recent first. */
  readonly #entries = new Map<string, StoredResponse>();
  #bytes = 0;

  constructor(bytesMax: number, onEvict: (id: string, response: StoredResponse) => void) {
    this.#bytesMax = bytesMax;
    this.#onEvict = onEvict;
  }

  get bytes(): number {
    return this.#bytes;
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  get(id: string): StoredResponse | undefined {
    const response = this.#entries.get(id);
    if (response === undefined) return undefined;
    this.#entries.delete(id);
    this.#entries.set(id, response);
    return response;
  }

  /** False where the response alone is over the limit. */
  put(id: string, response: StoredResponse): boolean {
    this.delete(id);
    const bytes = bytesOf(response);
    if (bytes > this.#bytesMax) return false;
    this.#entries.set(id, response);
    this.#bytes += bytes;
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes <= this.#bytesMax) break;
      this.delete(oldest);
      this.#onEvict(oldest, entry);
    }
    return true;
  }

  delete(id: string): void {
    const response = this.#entries.get(id);
    if (response === undefined) return;
    this.#entries.delete(id);
    this.#bytes -= bytesOf(response);
  }
}

function bytesOf({ body }: StoredResponse): number {
  return body.byteLength + ENTRY_OVERHEAD_BYTES;
}
