/** Blobs as files named by their SHA-256: written aside, verified, synced, renamed; what nobody needs is collected. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { assert } from "#domain/assert.ts";
import { type Digest, isDigest } from "#domain/content/release.ts";
import { Failure } from "#domain/failure.ts";
import { isTemporaryName, renameDurably, storageFailure, temporaryPath } from "#platform/files/durable.ts";

/** One blob; a file beyond this belongs to object storage behind a `pull` site. */
export const BLOB_BYTES_MAX = 2 * 1024 * 1024 * 1024;
/** The first two digits are the folder: 256 folders keep each small. */
const PREFIX_LENGTH = 2;

export interface ByteRange {
  readonly start: number;
  /** The last byte, inclusive. */
  readonly end: number;
}

export interface CollectResult {
  readonly removed: number;
  readonly removedBytes: number;
  readonly kept: number;
}

export interface BlobStore {
  /** `undefined` where there is none. */
  findSize(digest: Digest): Promise<number | undefined>;
  /** The same, and counts as uploaded now: a release is about to need it, so collection leaves it alone. */
  hold(digest: Digest, nowMs: number): Promise<number | undefined>;
  /** Idempotent. Throws `digest-mismatch`, `argument-invalid` for too large a blob, `disk-full` or `storage-failed`. */
  put(digest: Digest, bytes: AsyncIterable<Uint8Array>): Promise<number>;
  /** Of a blob that `findSize` found. */
  read(digest: Digest, range?: ByteRange): Readable;
  /** Removes what is not needed and was uploaded, or uploaded again, before the time. */
  collect(needed: ReadonlySet<Digest>, uploadedBeforeMs: number): Promise<CollectResult>;
}

/** Removes what a crash left half written. */
export async function openFileBlobStore(folder: string): Promise<BlobStore> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const { path, name } of await listFiles(folder)) {
    if (isTemporaryName(name)) await rm(path, { force: true });
  }
  return new FileBlobStore(folder);
}

class FileBlobStore implements BlobStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async findSize(digest: Digest): Promise<number | undefined> {
    try {
      return (await stat(this.#pathOf(digest))).size;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw storageFailure(error, this.#pathOf(digest));
    }
  }

  async hold(digest: Digest, nowMs: number): Promise<number | undefined> {
    const path = this.#pathOf(digest);
    try {
      await utimes(path, nowMs / 1000, nowMs / 1000);
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw storageFailure(error, path);
    }
    return this.findSize(digest);
  }

  async put(digest: Digest, bytes: AsyncIterable<Uint8Array>): Promise<number> {
    const path = this.#pathOf(digest);
    await mkdir(join(path, ".."), { recursive: true, mode: 0o700 });
    const temporary = temporaryPath(path);
    try {
      const written = await writeAside(temporary, bytes);
      if (written.digest !== digest) {
        throw new Failure("digest-mismatch", `blob ${digest}: the bytes have the digest ${written.digest}`);
      }
      await renameDurably(temporary, path);
      return written.sizeBytes;
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }

  read(digest: Digest, range?: ByteRange): Readable {
    return createReadStream(this.#pathOf(digest), range === undefined ? {} : { start: range.start, end: range.end });
  }

  async collect(needed: ReadonlySet<Digest>, uploadedBeforeMs: number): Promise<CollectResult> {
    let removed = 0;
    let removedBytes = 0;
    let kept = 0;
    for (const { path, name } of await listFiles(this.#folder)) {
      // Whatever is being written is renamed at any moment: only a blob's own file is asked for its age.
      const isKept = !isDigest(name) || needed.has(name);
      const found = isKept ? undefined : await stat(path);
      if (found === undefined || found.mtimeMs >= uploadedBeforeMs) {
        kept += 1;
        continue;
      }
      await rm(path, { force: true });
      removed += 1;
      removedBytes += found.size;
    }
    return { removed, removedBytes, kept };
  }

  #pathOf(digest: Digest): string {
    assert(isDigest(digest), "a blob's path is made of a digest only");
    return join(this.#folder, digest.slice(0, PREFIX_LENGTH), digest);
  }
}

/** Synced, with what was written; the caller removes what fails. */
export async function writeAside(
  path: string,
  bytes: AsyncIterable<Uint8Array>,
): Promise<{ digest: Digest; sizeBytes: number }> {
  const file = await open(path, "wx", 0o600).catch((error: unknown) => {
    throw storageFailure(error, path);
  });
  try {
    const hash = createHash("sha256");
    let sizeBytes = 0;
    for await (const chunk of bytes) {
      sizeBytes += chunk.byteLength;
      if (sizeBytes > BLOB_BYTES_MAX) {
        throw new Failure("argument-invalid", `a blob has at most ${BLOB_BYTES_MAX} bytes; serve it from a pull site`);
      }
      hash.update(chunk);
      await file.appendFile(chunk).catch((error: unknown) => {
        throw storageFailure(error, path);
      });
    }
    await file.sync();
    return { digest: hash.digest("hex"), sizeBytes };
  } finally {
    await file.close();
  }
}

async function listFiles(folder: string): Promise<{ path: string; name: string }[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => ({ path: join(entry.parentPath, entry.name), name: entry.name }));
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
