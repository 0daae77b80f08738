/** The fields of a simple head, read only when somebody asks for one: most hits are of responses without Vary. */
import type { Fields } from "#domain/http/fields.ts";
import { fieldsOfHead, type SimpleHead } from "./request-head.ts";

const NONE: Fields = new Map();

export class HeadFields implements Fields {
  #bytes: Buffer = Buffer.alloc(0);
  #head: SimpleHead | undefined;
  #read: Fields | undefined;

  /** Takes another head, in place of the one before. */
  set(bytes: Buffer, head: SimpleHead): void {
    this.#bytes = bytes;
    this.#head = head;
    this.#read = undefined;
  }

  get size(): number {
    return this.#fields().size;
  }

  get(name: string): readonly string[] | undefined {
    return this.#fields().get(name);
  }

  has(name: string): boolean {
    return this.#fields().has(name);
  }

  forEach(...words: Parameters<Fields["forEach"]>): void {
    this.#fields().forEach(...words);
  }

  entries(): ReturnType<Fields["entries"]> {
    return this.#fields().entries();
  }

  keys(): ReturnType<Fields["keys"]> {
    return this.#fields().keys();
  }

  values(): ReturnType<Fields["values"]> {
    return this.#fields().values();
  }

  [Symbol.iterator](): ReturnType<Fields["entries"]> {
    return this.entries();
  }

  #fields(): Fields {
    if (this.#head === undefined) return NONE;
    this.#read ??= fieldsOfHead(this.#bytes, this.#head);
    return this.#read;
  }
}
