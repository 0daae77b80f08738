/** A blob while it is received: others read along what is written; its last byte they get once the whole has verified. */
import { type FileHandle, open } from "node:fs/promises";
import { Failure } from "#domain/failure.ts";
import { storageFailure } from "#platform/files/durable.ts";

/** As a file is read. */
const CHUNK_BYTES = 64 * 1024;

export interface ArrivingAt {
  readonly sizeBytes: number;
  /** Where it is written while it arrives, and where it is once it is whole. */
  readonly part: string;
  readonly whole: string;
}

export class ArrivingBlob {
  readonly #at: ArrivingAt;
  /** Tells the bytes of one attempt from those of another: between two, what was written may have been thrown away. */
  #attempt = 1;
  #end = 0;
  #state: "arriving" | "whole" | "given-up" = "arriving";
  #changed = Promise.withResolvers<void>();

  constructor(at: ArrivingAt) {
    this.#at = at;
  }

  get sizeBytes(): number {
    return this.#at.sizeBytes;
  }

  get attempt(): number {
    return this.#attempt;
  }

  /** Bytes from the beginning that others may have: nobody passes on a whole that has not verified. */
  get readable(): number {
    return this.#state === "whole" ? this.sizeBytes : Math.min(this.#end, this.sizeBytes - 1);
  }

  /** So many are written. */
  advance(end: number): void {
    this.#end = end;
    this.#announce();
  }

  finish(): void {
    this.#state = "whole";
    this.#announce();
  }

  /** What was received stays to be continued, by another fetch. */
  giveUp(): void {
    if (this.#state === "arriving") this.#state = "given-up";
    this.#announce();
  }

  /** What was received was wrong, and is received again. */
  restart(): void {
    this.#attempt += 1;
    this.#end = 0;
    this.#announce();
  }

  /** Resolves once the byte at `offset` can be read; false where it cannot be any more. */
  async reaches(offset: number): Promise<boolean> {
    while (this.readable <= offset) {
      if (this.#state === "given-up") return false;
      await this.#changed.promise;
    }
    return true;
  }

  /** Bytes `start` to `end`, both included, at the pace at which they arrive. Throws `unavailable` where they do not. */
  async *read(start: number, end: number): AsyncGenerator<Uint8Array> {
    const attempt = this.#attempt;
    await using file = await this.#open();
    for (let at = start; at <= end; ) {
      const isThere = (await this.reaches(at)) && attempt === this.#attempt;
      if (!isThere) throw new Failure("unavailable", "a blob that arrives was given up", { retryable: true });
      const bytes = await readAt(file, at, Math.min(CHUNK_BYTES, end + 1 - at, this.readable - at), this.#at.part);
      yield bytes;
      at += bytes.byteLength;
    }
  }

  async #open(): Promise<FileHandle> {
    const { part, whole } = this.#at;
    return await open(part)
      .catch(() => open(whole))
      .catch((error: unknown) => {
        throw storageFailure(error, part);
      });
  }

  #announce(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

async function readAt(file: FileHandle, at: number, length: number, path: string): Promise<Uint8Array> {
  const { buffer, bytesRead } = await file
    .read(new Uint8Array(length), 0, length, at)
    .catch((error: unknown) => Promise.reject(storageFailure(error, path)));
  if (bytesRead === 0) throw new Failure("storage-failed", `${path}: is shorter than what was written`);
  return buffer.subarray(0, bytesRead);
}
