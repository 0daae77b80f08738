/** Blobs by SHA-256 on disk: received aside, verified, synced, renamed; a receipt that broke off is resumed. */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { assert } from "#domain/assert.ts";
import { type Digest, isDigest } from "#domain/content/release.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { renameDurably, storageFailure } from "#platform/files/durable.ts";
import { ArrivingBlob } from "./arriving-blob.ts";

/** The first two digits are the folder: 256 folders keep each small. */
const PREFIX_LENGTH = 2;
const PART_SUFFIX = ".part";

/** The bytes from an offset on; the sender may begin earlier than asked, at 0. */
export interface BlobBytes {
  readonly offset: number;
  readonly bytes: AsyncIterable<Uint8Array>;
}

export type OpenBlob = (offset: number) => Promise<BlobBytes>;

export class BlobFolder {
  readonly #folder: string;
  readonly #bytesMax: number;
  readonly #sizes: Map<Digest, number>;
  /** Whose bytes were hashed since the start: a file that rots while the process runs is found at its next start. */
  readonly #verified = new Set<Digest>();
  /** What is being removed from the disk and counts as gone already: nothing is received until it is. */
  readonly #removals = new Set<Promise<void>>();
  #bytesUsed: number;

  private constructor(folder: string, bytesMax: number, sizes: Map<Digest, number>) {
    this.#folder = folder;
    this.#bytesMax = bytesMax;
    this.#sizes = sizes;
    this.#bytesUsed = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  }

  static async open(folder: string, bytesMax: number): Promise<BlobFolder> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return new BlobFolder(folder, bytesMax, await readSizes(folder));
  }

  get bytesUsed(): number {
    return this.#bytesUsed;
  }

  has(digest: Digest): boolean {
    return this.#sizes.has(digest);
  }

  /** In bytes; `undefined` of what is not here. */
  sizeOf(digest: Digest): number | undefined {
    return this.#sizes.get(digest);
  }

  /**
   * Receives and verifies; idempotent. Throws `digest-mismatch` (what was received is thrown away), `disk-full`,
   * `storage-failed`, and what `open` throws: then what was received stays, to be continued.
   */
  async receive(
    digest: Digest,
    sizeBytes: number,
    open: OpenBlob,
    arriving: ArrivingBlob = this.arrivingOf(digest, sizeBytes),
  ): Promise<void> {
    while (this.#removals.size > 0) await Promise.allSettled(this.#removals);
    if (this.has(digest)) return arriving.finish();
    if (this.#bytesUsed + sizeBytes > this.#bytesMax) {
      throw new Failure("disk-full", `blob ${digest}: ${sizeBytes} bytes do not fit in store.diskBytesMax`);
    }
    const path = this.pathOf(digest);
    await mkdir(join(path, ".."), { recursive: true, mode: 0o700 });
    const part = `${path}${PART_SUFFIX}`;
    const got = await receiveInto(part, arriving, open).catch(async (error: unknown) => {
      if (isFailure(error, "digest-mismatch")) await rm(part, { force: true });
      throw error;
    });
    if (got.digest !== digest || got.sizeBytes !== sizeBytes) {
      await rm(part, { force: true });
      throw new Failure(
        "digest-mismatch",
        `blob ${digest} of ${sizeBytes} bytes: received ${got.sizeBytes} bytes with the digest ${got.digest}`,
        { retryable: true },
      );
    }
    await renameDurably(part, path);
    this.#sizes.set(digest, sizeBytes);
    this.#bytesUsed += sizeBytes;
    this.#verified.add(digest);
    arriving.finish();
  }

  /** For those who read along while it is received. */
  arrivingOf(digest: Digest, sizeBytes: number): ArrivingBlob {
    const whole = this.pathOf(digest);
    return new ArrivingBlob({ sizeBytes, whole, part: `${whole}${PART_SUFFIX}` });
  }

  /** False where the file is gone or is not what its name says; it is then removed. */
  async verify(digest: Digest): Promise<boolean> {
    if (!this.has(digest)) return false;
    if (this.#verified.has(digest)) return true;
    const hash = createHash("sha256");
    const isRead = await pipeline(createReadStream(this.pathOf(digest)), hash).then(
      () => true,
      () => false,
    );
    if (isRead && hash.digest("hex") === digest) {
      this.#verified.add(digest);
      return true;
    }
    await this.remove(digest);
    return false;
  }

  /** The whole content, verified; `undefined` where there is none that is right. */
  async read(digest: Digest): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (!this.has(digest)) return undefined;
    const bytes = await readFile(this.pathOf(digest)).catch(() => undefined);
    if (bytes !== undefined && createHash("sha256").update(bytes).digest("hex") === digest) return bytes;
    await this.remove(digest);
    return undefined;
  }

  async remove(digest: Digest): Promise<void> {
    this.#forget(digest);
    await this.#removing(() => rm(this.pathOf(digest), { force: true }));
  }

  /**
   * Removes what is not needed, parts of it included. Gives the bytes that were freed. What it removes counts as gone
   * at once: a release that comes to need it meanwhile has it received again.
   */
  async collect(needed: ReadonlySet<Digest>): Promise<number> {
    const unneeded = [...this.#sizes.keys()].filter((digest) => !needed.has(digest));
    const freed = unneeded.reduce((sum, digest) => sum + this.#forget(digest), 0);
    await this.#removing(async () => {
      for (const digest of unneeded) await rm(this.pathOf(digest), { force: true });
      for (const name of await namesIn(this.#folder)) {
        const digest = name.slice(0, -PART_SUFFIX.length);
        if (!name.endsWith(PART_SUFFIX) || needed.has(digest) || !isDigest(digest)) continue;
        await rm(`${this.pathOf(digest)}${PART_SUFFIX}`, { force: true });
      }
    });
    return freed;
  }

  /** Gives the bytes that this frees. */
  #forget(digest: Digest): number {
    const sizeBytes = this.#sizes.get(digest) ?? 0;
    this.#bytesUsed -= sizeBytes;
    this.#sizes.delete(digest);
    this.#verified.delete(digest);
    return sizeBytes;
  }

  async #removing(remove: () => Promise<void>): Promise<void> {
    const removal = remove();
    this.#removals.add(removal);
    try {
      await removal;
    } finally {
      this.#removals.delete(removal);
    }
  }

  pathOf(digest: Digest): string {
    assert(isDigest(digest), "a blob's path is made of a digest only");
    return join(this.#folder, digest.slice(0, PREFIX_LENGTH), digest);
  }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

async function readSizes(folder: string): Promise<Map<Digest, number>> {
  const sizes = new Map<Digest, number>();
  for (const name of await namesIn(folder)) {
    if (!isDigest(name)) continue;
    const { size } = await stat(join(folder, name.slice(0, PREFIX_LENGTH), name));
    sizes.set(name, size);
  }
  return sizes;
}

/** Goes on where an earlier receipt broke off; what it left counts only by the digest of the whole. */
async function receiveInto(path: string, arriving: ArrivingBlob, openBlob: OpenBlob) {
  const { sizeBytes } = arriving;
  const file = await open(path, "a+", 0o600).catch((error: unknown) => {
    throw storageFailure(error, path);
  });
  try {
    const held = (await file.stat()).size;
    const { offset, bytes } = await openBlob(held < sizeBytes ? held : 0);
    if (offset !== held) await file.truncate(offset);
    const hash = createHash("sha256");
    await hashStart(hash, path, offset);
    arriving.advance(offset);
    const received = await append(file, hash, { path, offset, arriving }, bytes);
    await file.sync();
    return { digest: hash.digest("hex"), sizeBytes: received };
  } finally {
    await file.close();
  }
}

async function hashStart(hash: Hash, path: string, length: number): Promise<void> {
  if (length === 0) return;
  for await (const chunk of createReadStream(path, { start: 0, end: length - 1 })) hash.update(chunk);
}

async function append(
  file: FileHandle,
  hash: Hash,
  { path, offset, arriving }: { readonly path: string; readonly offset: number; readonly arriving: ArrivingBlob },
  bytes: AsyncIterable<Uint8Array>,
): Promise<number> {
  let received = offset;
  for await (const chunk of bytes) {
    received += chunk.byteLength;
    // The digest cannot fit any more: what comes is not written.
    if (received > arriving.sizeBytes) return received;
    hash.update(chunk);
    await file.appendFile(chunk).catch((error: unknown) => {
      throw storageFailure(error, path);
    });
    arriving.advance(received);
  }
  return received;
}
