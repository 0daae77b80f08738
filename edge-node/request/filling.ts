/** A response's body while it arrives: any number of readers get all of it, the late ones from the beginning. */
import { Failure } from "#domain/failure.ts";
import type { OpenWritten, Written } from "../store/body-file.ts";

/** What is held at most; what falls out is read from the disk, or without one the body goes on at the pace of its slowest reader. */
export const FILLING_BYTES_MAX = 4 * 1024 * 1024;

type State = { readonly kind: "arriving" | "whole" } | { readonly kind: "failed"; readonly error: unknown };

interface Chunk {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/** Where the bytes go that arrive. */
export interface Behind {
  /** What can be read again from the disk; `undefined` where it does not go there. */
  written(): Written | undefined;
  /** Whether it has all of them in memory: then so may this, at no cost. */
  isInMemory(): boolean;
}

export class Filling {
  #state: State = { kind: "arriving" };
  /** The last bytes that came, without gaps. */
  readonly #window: Chunk[] = [];
  #windowStart = 0;
  #end = 0;
  #behind: Behind | undefined;
  /** Opened once something has fallen out: it can be read also when the store removes it. */
  #file: Promise<OpenWritten | undefined> | undefined;
  readonly #readers = new Set<{ at: number }>();
  #changed = Promise.withResolvers<void>();

  /** False once the beginning is gone: nobody may join any more. */
  get isJoinable(): boolean {
    return this.#windowStart === 0 || (this.#file !== undefined && this.#behind?.written() !== undefined);
  }

  /** What keeps it beside this. */
  spillTo(behind: Behind): void {
    this.#behind = behind;
  }

  /** Resolves when there is room for more: false when nobody reads it and nobody will. */
  async push(bytes: Uint8Array): Promise<boolean> {
    this.#window.push({ start: this.#end, bytes });
    this.#end += bytes.byteLength;
    this.#announce();
    for (;;) {
      if (this.#behind?.isInMemory() === true) return true;
      this.#drop();
      if (this.#end - this.#windowStart <= FILLING_BYTES_MAX || this.#behind?.written() !== undefined) return true;
      if (this.#readers.size === 0) return false;
      await this.#changed.promise;
    }
  }

  finish(): void {
    this.#state = { kind: "whole" };
    this.#announce();
    this.#closeUnread();
  }

  fail(error: unknown): void {
    this.#state = { kind: "failed", error };
    this.#announce();
    this.#closeUnread();
  }

  /** Registers now, reads later; throws what the body failed with. */
  read(): AsyncGenerator<Uint8Array> {
    const reader = { at: 0 };
    this.#readers.add(reader);
    return this.#read(reader);
  }

  async *#read(reader: { at: number }): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        if (reader.at < this.#windowStart) yield* this.#readWritten(reader);
        const next = this.#window.find(({ start }) => start >= reader.at);
        if (next !== undefined) {
          yield next.bytes;
          reader.at = next.start + next.bytes.byteLength;
          if (this.#end - this.#windowStart > FILLING_BYTES_MAX) this.#announce();
        } else if (this.#state.kind === "failed") throw this.#state.error;
        else if (this.#state.kind === "whole") return;
        else await this.#changed.promise;
      }
    } finally {
      this.#readers.delete(reader);
      this.#announce();
      this.#closeUnread();
    }
  }

  #closeUnread(): void {
    if (this.#state.kind === "arriving" || this.#readers.size > 0) return;
    void this.#file?.then((file) => file?.[Symbol.asyncDispose]());
    this.#file = undefined;
  }

  /** Up to the window, which goes on meanwhile. */
  async *#readWritten(reader: { at: number }): AsyncGenerator<Uint8Array> {
    const file = await this.#file;
    while (reader.at < this.#windowStart) {
      const bytes = await file?.read(reader.at, this.#windowStart);
      if (bytes === undefined)
        throw new Failure("storage-failed", "the beginning of a body that arrives is gone from the disk");
      yield bytes;
      reader.at += bytes.byteLength;
    }
  }

  #drop(): void {
    const isOver = () => this.#end - this.#windowStart > FILLING_BYTES_MAX;
    const slowest = Math.min(this.#end, ...[...this.#readers].map(({ at }) => at));
    const written = this.#behind?.written();
    const spare = Math.max(slowest, written?.bytes ?? 0);
    for (let first = this.#window[0]; first !== undefined && isOver(); first = this.#window[0]) {
      const end = first.start + first.bytes.byteLength;
      if (end > spare) return;
      if (this.#file === undefined && written !== undefined) this.#file = written.open();
      this.#window.shift();
      this.#windowStart = end;
    }
  }

  #announce(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
