/** What crosses the socket between two processes of an edge for one connection: bytes, and marks between them. */
import { assert } from "#domain/assert.ts";

/** The first frame says whose connection it is. The others are pieces of it, and what happens to it. */
const KINDS = ["opening", "bytes", "end", "answered", "reset"] as const;
type Kind = (typeof KINDS)[number];
export type Mark = Exclude<Kind, "opening" | "bytes">;

/** `end`: no bytes follow. `answered`: all that was given so far. `reset`: the connection is gone. */
export type Frame = { readonly kind: "opening" | "bytes"; readonly bytes: Buffer } | { readonly kind: Mark };

/** A kind and a length. */
const HEAD_BYTES = 5;
/** What is put together before it is given on: the head of a request at least, which a reader must see whole. */
export const FRAME_BYTES_MAX = 1024 * 1024;

export function frameHead(kind: Kind, byteLength: number): Buffer {
  const head = Buffer.allocUnsafe(HEAD_BYTES);
  head[0] = KINDS.indexOf(kind);
  head.writeUInt32BE(byteLength, 1);
  return head;
}

export function markFrame(mark: Mark): Buffer {
  return frameHead(mark, 0);
}

export class FrameReader {
  readonly #isWhole: boolean;
  readonly #onFrame: (frame: Frame) => void;
  #head: Buffer = Buffer.alloc(0);
  #kind: Kind = "opening";
  #left = 0;
  #parts: Buffer[] = [];

  /** `pieces`: bytes of a frame are given on as they come. `frames`: they are put together. */
  constructor(bytesBy: "pieces" | "frames", onFrame: (frame: Frame) => void) {
    this.#isWhole = bytesBy === "frames";
    this.#onFrame = onFrame;
  }

  /** The chunk is kept. */
  take(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.byteLength) {
      if (this.#left > 0) at = this.#takeBytes(chunk, at);
      else at = this.#takeHead(chunk, at);
    }
  }

  #takeHead(chunk: Buffer, from: number): number {
    const to = from + HEAD_BYTES - this.#head.byteLength;
    const head =
      this.#head.byteLength === 0 ? chunk.subarray(from, to) : Buffer.concat([this.#head, chunk.subarray(from, to)]);
    this.#head = head;
    if (head.byteLength < HEAD_BYTES) return chunk.byteLength;
    this.#head = Buffer.alloc(0);
    const kind = KINDS[head[0] ?? KINDS.length];
    assert(kind !== undefined, "the processes of an edge are of one version");
    this.#kind = kind;
    this.#left = head.readUInt32BE(1);
    assert(!this.#isWhole || this.#left <= FRAME_BYTES_MAX, `a frame has ${this.#left} bytes`);
    if (this.#left === 0 && kind !== "opening" && kind !== "bytes") this.#onFrame({ kind });
    return to;
  }

  #takeBytes(chunk: Buffer, from: number): number {
    const to = Math.min(chunk.byteLength, from + this.#left);
    const bytes = chunk.subarray(from, to);
    this.#left -= bytes.byteLength;
    if (!this.#isWhole) this.#give(bytes);
    else if (this.#left > 0) this.#parts.push(bytes);
    else {
      const whole = this.#parts.length === 0 ? bytes : Buffer.concat([...this.#parts, bytes]);
      this.#parts = [];
      this.#give(whole);
    }
    return to;
  }

  #give(bytes: Buffer): void {
    if (this.#kind === "opening" || this.#kind === "bytes") this.#onFrame({ kind: this.#kind, bytes });
  }
}
