/** Bodies in files: written once under a name of their own, verified slice by slice when they are read. */
import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { Failure, isFailure } from "#domain/failure.ts";
import { storageFailure } from "#platform/files/durable.ts";
import type { OpenBody } from "./stored-response.ts";

/** What is read, verified and given out at once: the memory that a reader of a large body takes. */
export const SLICE_BYTES = 256 * 1024;
const DIGEST_BYTES = 32;
const FILE_MODE = 0o600;

/** What a body must be: its length, and the SHA-256 digest of each slice, one after the other. */
export interface BodySeal {
  readonly bodyBytes: number;
  readonly slices: Uint8Array;
}

class Sealing {
  #hash: Hash = createHash("sha256");
  #filled = 0;
  #bodyBytes = 0;
  readonly #digests: Uint8Array[] = [];

  update(chunk: Uint8Array): void {
    this.#bodyBytes += chunk.byteLength;
    for (let at = 0; at < chunk.byteLength; ) {
      const piece = chunk.subarray(at, at + SLICE_BYTES - this.#filled);
      this.#hash.update(piece);
      this.#filled += piece.byteLength;
      at += piece.byteLength;
      if (this.#filled === SLICE_BYTES) this.#next();
    }
  }

  seal(): BodySeal {
    if (this.#filled > 0) this.#next();
    return { bodyBytes: this.#bodyBytes, slices: Buffer.concat(this.#digests) };
  }

  #next(): void {
    this.#digests.push(this.#hash.digest());
    this.#hash = createHash("sha256");
    this.#filled = 0;
  }
}

/** Whether the seal is this body's. */
export function isSealOf(seal: BodySeal, body: Uint8Array): boolean {
  if (seal.bodyBytes !== body.byteLength) return false;
  const sealing = new Sealing();
  sealing.update(body);
  return Buffer.from(sealing.seal().slices).equals(seal.slices);
}

export interface BodyFileOptions {
  readonly path: string;
  /** Called before each write with the bytes it adds; throws where they may not be had. */
  readonly reserve: (bytes: number) => Promise<void>;
}

/** What of a body is in its file already, readable while the rest is written. */
export interface Written {
  readonly bytes: number;
  /** `undefined` where the file is gone. It can be read also when it is removed meanwhile. */
  open(): Promise<OpenWritten | undefined>;
}

export interface OpenWritten extends AsyncDisposable {
  /** Some bytes from `start`, at most up to `end`, which is not included; `undefined` where there are none. */
  read(start: number, end: number): Promise<Uint8Array | undefined>;
}

/** Takes chunks at the pace at which they come and writes them behind. */
export class BodyFileWriter {
  readonly #options: BodyFileOptions;
  readonly #sealing = new Sealing();
  #handle: FileHandle | undefined;
  #written: Promise<void> = Promise.resolve();
  #pendingBytes = 0;
  #writtenBytes = 0;
  #failure: Failure | undefined;

  constructor(options: BodyFileOptions) {
    this.#options = options;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** `undefined` once writing has failed: no more will come. */
  get written(): Written | undefined {
    if (this.#failure !== undefined) return undefined;
    return { bytes: this.#writtenBytes, open: () => openWritten(this.#options.path) };
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  write(chunk: Uint8Array): void {
    if (this.#failure !== undefined) return;
    this.#sealing.update(chunk);
    this.#pendingBytes += chunk.byteLength;
    this.#written = this.#written.then(() => this.#append(chunk));
  }

  /** What was written. Throws what writing failed with; then nothing is left. */
  async finish(): Promise<BodySeal> {
    await this.#written;
    if (this.#failure === undefined) await this.#close();
    if (this.#failure === undefined) return this.#sealing.seal();
    await this.#remove();
    throw this.#failure;
  }

  /** Leaves nothing. */
  async abandon(because: Failure): Promise<void> {
    this.#failure ??= because;
    await this.#written;
    await this.#remove();
  }

  async #append(chunk: Uint8Array): Promise<void> {
    try {
      if (this.#failure !== undefined) return;
      await this.#options.reserve(chunk.byteLength);
      this.#handle ??= await open(this.#options.path, "wx", FILE_MODE);
      await this.#handle.appendFile(chunk);
      this.#writtenBytes += chunk.byteLength;
    } catch (error) {
      this.#failure ??= isFailure(error) ? error : storageFailure(error, this.#options.path);
    } finally {
      this.#pendingBytes -= chunk.byteLength;
    }
  }

  async #close(): Promise<void> {
    try {
      this.#handle ??= await open(this.#options.path, "wx", FILE_MODE);
      await this.#handle.close();
    } catch (error) {
      this.#failure ??= storageFailure(error, this.#options.path);
    }
    this.#handle = undefined;
  }

  async #remove(): Promise<void> {
    if (this.#handle === undefined) return await removeFile(this.#options.path);
    await this.#close();
    await removeFile(this.#options.path);
  }
}

async function openWritten(path: string): Promise<OpenWritten | undefined> {
  const handle = await open(path, "r").catch(() => undefined);
  if (handle === undefined) return undefined;
  return {
    async read(start, end) {
      const bytes = Buffer.allocUnsafeSlow(Math.min(SLICE_BYTES, end - start));
      const { bytesRead } = await handle.read(bytes, 0, bytes.byteLength, start);
      return bytesRead === 0 ? undefined : bytes.subarray(0, bytesRead);
    },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

/** A file that is not there is removed; one that cannot be is found by the next start's sweep. */
export async function removeFile(path: string): Promise<void> {
  await unlink(path).catch(() => undefined);
}

/** Throws `not-found` where there is no file, `digest-mismatch` where it is not of its length, else `storage-failed`. */
export async function openBody(path: string, seal: BodySeal): Promise<OpenBody> {
  const handle = await opened(path);
  const { size } = await handle.stat();
  if (size !== seal.bodyBytes) {
    await handle.close();
    throw new Failure("digest-mismatch", `${path}: has ${size} bytes, ${seal.bodyBytes} were stored`);
  }
  return {
    read: (start, last) => readSlices(handle, path, seal, { start, last }),
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

/** The whole body, verified. Throws as `openBody`. */
export async function readBody(path: string, seal: BodySeal): Promise<Uint8Array> {
  await using body = await openBody(path, seal);
  const parts: Uint8Array[] = [];
  for await (const part of body.read(0, seal.bodyBytes - 1)) parts.push(part);
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
}

async function opened(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (error) {
    const isGone = error instanceof Error && "code" in error && error.code === "ENOENT";
    if (isGone) throw new Failure("not-found", `${path}: is gone`, { cause: error });
    throw storageFailure(error, path);
  }
}

async function* readSlices(
  handle: FileHandle,
  path: string,
  seal: BodySeal,
  { start, last }: { readonly start: number; readonly last: number },
): AsyncGenerator<Uint8Array> {
  for (let index = Math.floor(start / SLICE_BYTES); index * SLICE_BYTES <= last; index += 1) {
    const from = index * SLICE_BYTES;
    const slice = await readSlice(handle, path, from, Math.min(SLICE_BYTES, seal.bodyBytes - from));
    const digest = createHash("sha256").update(slice).digest();
    if (!digest.equals(seal.slices.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES)))
      throw new Failure("digest-mismatch", `${path}: the bytes from ${from} are not those that were stored`);
    yield slice.subarray(Math.max(0, start - from), last + 1 - from);
  }
}

async function readSlice(handle: FileHandle, path: string, from: number, length: number): Promise<Buffer> {
  const slice = Buffer.allocUnsafeSlow(length);
  try {
    for (let at = 0; at < length; ) {
      const { bytesRead } = await handle.read(slice, at, length - at, from + at);
      if (bytesRead === 0) throw new Failure("digest-mismatch", `${path}: ends at ${from + at}`);
      at += bytesRead;
    }
    return slice;
  } catch (error) {
    throw isFailure(error) ? error : storageFailure(error, path);
  }
}
