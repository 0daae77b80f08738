/** A response's body while it arrives: any number of readers get all of it, the late ones from the beginning. */

/** What is held at most; a longer body goes on at the pace of its slowest reader, and nobody joins it late. */
export const FILLING_BYTES_MAX = 4 * 1024 * 1024;

type State = { readonly kind: "arriving" | "whole" } | { readonly kind: "failed"; readonly error: unknown };

export class Filling {
  #state: State = { kind: "arriving" };
  #chunks: Uint8Array[] = [];
  /** How many chunks were dropped from the front. */
  #dropped = 0;
  #heldBytes = 0;
  #isTooLarge = false;
  readonly #readers = new Set<{ next: number }>();
  #changed = Promise.withResolvers<void>();

  /** False once the beginning is gone: nobody may join any more. */
  get isJoinable(): boolean {
    return !this.#isTooLarge;
  }

  /** Resolves when there is room for more: false when nobody reads it and nobody will. */
  async push(chunk: Uint8Array): Promise<boolean> {
    this.#chunks.push(chunk);
    this.#heldBytes += chunk.byteLength;
    if (this.#heldBytes > FILLING_BYTES_MAX) this.#isTooLarge = true;
    this.#announce();
    while (this.#isTooLarge && this.#heldBytes > FILLING_BYTES_MAX) {
      this.#drop();
      if (this.#readers.size === 0) return false;
      if (this.#heldBytes > FILLING_BYTES_MAX) await this.#changed.promise;
    }
    return true;
  }

  finish(): void {
    this.#state = { kind: "whole" };
    this.#announce();
  }

  fail(error: unknown): void {
    this.#state = { kind: "failed", error };
    this.#announce();
  }

  /** Registers now, reads later; throws what the body failed with. */
  read(): AsyncGenerator<Uint8Array> {
    const reader = { next: 0 };
    this.#readers.add(reader);
    return this.#read(reader);
  }

  async *#read(reader: { next: number }): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const chunk = this.#chunks[reader.next - this.#dropped];
        if (chunk !== undefined) {
          yield chunk;
          reader.next += 1;
          if (this.#isTooLarge) this.#announce();
        } else if (this.#state.kind === "failed") throw this.#state.error;
        else if (this.#state.kind === "whole") return;
        else await this.#changed.promise;
      }
    } finally {
      this.#readers.delete(reader);
      this.#announce();
    }
  }

  #drop(): void {
    const first = Math.min(this.#dropped + this.#chunks.length, ...[...this.#readers].map(({ next }) => next));
    for (const chunk of this.#chunks.splice(0, first - this.#dropped)) this.#heldBytes -= chunk.byteLength;
    this.#dropped = first;
  }

  #announce(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
