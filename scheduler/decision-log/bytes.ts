/** Numbers and texts one after the other in bytes, little-endian: a writer that grows and a reader of what it wrote. Pure. */
import { assert } from "#domain/assert.ts";

const BYTES_BEGUN = 4_096;
const UTF8_BYTES_A_UNIT = 3;

export class ByteWriter {
  #bytes = Buffer.allocUnsafeSlow(BYTES_BEGUN);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** What was written; the same memory, until more is. */
  get written(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  /** Room at the end, to be filled in place; answers where it begins. */
  reserve(bytes: number): number {
    const at = this.#length;
    const needed = at + bytes;
    if (needed > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#bytes.length));
      this.#bytes.copy(grown, 0, 0, at);
      this.#bytes = grown;
    }
    this.#length = needed;
    return at;
  }

  uint8(value: number): void {
    const at = this.reserve(1);
    this.#bytes.writeUInt8(value, at);
  }

  uint16(value: number): void {
    const at = this.reserve(2);
    this.#bytes.writeUInt16LE(value, at);
  }

  uint32(value: number): void {
    const at = this.reserve(4);
    this.#bytes.writeUInt32LE(value, at);
  }

  double(value: number): void {
    const at = this.reserve(8);
    this.#bytes.writeDoubleLE(value, at);
  }

  append(bytes: Uint8Array): void {
    const at = this.reserve(bytes.byteLength);
    this.#bytes.set(bytes, at);
  }

  /** With its length before it. */
  text(text: string): void {
    const at = this.reserve(4 + UTF8_BYTES_A_UNIT * text.length);
    const bytes = this.#bytes.write(text, at + 4, "utf8");
    this.#bytes.writeUInt32LE(bytes, at);
    this.#length = at + 4 + bytes;
  }
}

/** Only of bytes that `ByteWriter` wrote, asked for in the same order. */
export class ByteReader {
  readonly #bytes: Buffer;
  #at: number;
  readonly #end: number;

  constructor(bytes: Buffer, at: number, end: number) {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
  }

  uint8(): number {
    return this.#bytes.readUInt8(this.advance(1));
  }

  uint16(): number {
    return this.#bytes.readUInt16LE(this.advance(2));
  }

  uint32(): number {
    return this.#bytes.readUInt32LE(this.advance(4));
  }

  double(): number {
    return this.#bytes.readDoubleLE(this.advance(8));
  }

  text(): string {
    const bytes = this.uint32();
    const at = this.advance(bytes);
    return this.#bytes.toString("utf8", at, at + bytes);
  }

  /** Answers where the bytes that are passed over begin. */
  advance(bytes: number): number {
    const at = this.#at;
    assert(at + bytes <= this.#end, "bytes are read as they were written");
    this.#at = at + bytes;
    return at;
  }
}
