/** Blobs as objects of an S3 bucket named by their SHA-256, which the store is told to verify; for several origins. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { assert } from "#domain/assert.ts";
import { type Digest, isDigest } from "#domain/content/release.ts";
import { Failure } from "#domain/failure.ts";
import { type BlobStore, type ByteRange, type CollectResult, writeAside } from "../file-blob-store.ts";
import { checkBucket, S3Client, type S3ClientOptions, type S3Object } from "./s3-client.ts";

const EMPTY = { sizeBytes: 0, sha256: createHash("sha256").digest("hex"), open: () => Readable.from([]) };
/** A time in a key, in milliseconds, so that names sort as times do until the year 2286. */
const TIME_DIGITS = 13;

export interface S3BlobStoreOptions extends S3ClientOptions {
  /** Of all keys: `<prefix>blobs/<digest>` and `<prefix>held/<digest>.<ms>`. */
  readonly prefix: string;
  /** On this machine: what is uploaded waits here until it is whole. */
  readonly spoolFolder: string;
}

/** Throws `config-invalid`, `permission-denied` or `unavailable`. */
export async function openS3BlobStore(options: S3BlobStoreOptions): Promise<BlobStore & Disposable> {
  using opening = new DisposableStack();
  const client = opening.use(new S3Client(options));
  await rm(options.spoolFolder, { recursive: true, force: true });
  await mkdir(options.spoolFolder, { recursive: true, mode: 0o700 });
  await checkBucket(client, options.prefix);
  opening.move();
  return new S3BlobStore(client, options);
}

class S3BlobStore implements BlobStore {
  readonly #client: S3Client;
  readonly #options: S3BlobStoreOptions;
  #spooled = 0;

  constructor(client: S3Client, options: S3BlobStoreOptions) {
    this.#client = client;
    this.#options = options;
  }

  findSize(digest: Digest): Promise<number | undefined> {
    return this.#client.findSize(this.#keyOf(digest));
  }

  /** The mark first: a collection that has not seen it has not looked at this blob yet, or finds it when it looks again. */
  async hold(digest: Digest, nowMs: number): Promise<number | undefined> {
    const mark = this.#markOf(digest, nowMs);
    if ((await this.findSize(digest)) === undefined) return undefined;
    await this.#client.put(mark, EMPTY);
    return this.findSize(digest);
  }

  /** By way of a file: S3 wants the length first, and a blob that is not what it says is not sent at all. */
  async put(digest: Digest, bytes: AsyncIterable<Uint8Array>): Promise<number> {
    const key = this.#keyOf(digest);
    this.#spooled += 1;
    const file = join(this.#options.spoolFolder, `${this.#spooled}`);
    try {
      const written = await writeAside(file, bytes);
      if (written.digest !== digest) {
        throw new Failure("digest-mismatch", `blob ${digest}: the bytes have the digest ${written.digest}`);
      }
      const { sizeBytes } = written;
      await this.#client.put(key, { sizeBytes, sha256: digest, open: () => createReadStream(file) });
      return sizeBytes;
    } finally {
      await rm(file, { force: true });
    }
  }

  read(digest: Digest, range?: ByteRange): Readable {
    const key = this.#keyOf(digest);
    return Readable.from(range === undefined ? this.#whole(digest, key) : this.#part(key, range), {
      objectMode: false,
    });
  }

  async collect(needed: ReadonlySet<Digest>, uploadedBeforeMs: number): Promise<CollectResult> {
    const { prefix } = this.#options;
    let [removed, removedBytes, kept] = [0, 0, 0];
    const blobs: S3Object[] = [];
    for await (const blob of this.#client.list(`${prefix}blobs/`)) blobs.push(blob);
    const heldAtMs = await this.#sweepMarks();
    for (const { key, sizeBytes, modifiedMs } of blobs) {
      const digest = key.slice(`${prefix}blobs/`.length);
      const isOld = Math.max(modifiedMs, heldAtMs.get(digest) ?? 0) < uploadedBeforeMs;
      const isUnneeded = isDigest(digest) && !needed.has(digest) && isOld;
      if (!isUnneeded || (await this.#newestMark(digest)) >= uploadedBeforeMs) {
        kept += 1;
        continue;
      }
      await this.#client.delete(key);
      removed += 1;
      removedBytes += sizeBytes;
    }
    return { removed, removedBytes, kept };
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }

  /** When each was held last; marks that a later one, or the blob's end, has made superfluous are removed. */
  async #sweepMarks(): Promise<ReadonlyMap<string, number>> {
    const newest = new Map<string, { readonly key: string; readonly atMs: number }>();
    for await (const { key } of this.#client.list(`${this.#options.prefix}held/`)) {
      const [digest = "", atMs = 0] = this.#parseMark(key);
      const earlier = newest.get(digest);
      if (earlier !== undefined) await this.#client.delete(earlier.key);
      newest.set(digest, { key, atMs });
    }
    for (const [digest, { key }] of newest)
      if (isDigest(digest) && (await this.findSize(digest)) === undefined) await this.#client.delete(key);
    return new Map([...newest].map(([digest, { atMs }]) => [digest, atMs]));
  }

  async #newestMark(digest: Digest): Promise<number> {
    let newest = 0;
    for await (const { key } of this.#client.list(`${this.#options.prefix}held/${digest}.`))
      newest = Math.max(newest, this.#parseMark(key)[1]);
    return newest;
  }

  #parseMark(key: string): readonly [digest: string, atMs: number] {
    const [digest = "", time = ""] = key.slice(`${this.#options.prefix}held/`.length).split(".");
    return [digest, Number(time)];
  }

  #markOf(digest: Digest, nowMs: number): string {
    const time = String(Math.floor(nowMs)).padStart(TIME_DIGITS, "0");
    return `${this.#options.prefix}held/${digest}.${time}`;
  }

  async *#part(key: string, { start, end }: ByteRange): AsyncGenerator<Uint8Array> {
    yield* chunksOf(await this.#client.get(key, `bytes=${start}-${end}`), key);
  }

  /** Whoever reads a whole blob gets an error at its end where it is not what its name says. */
  async *#whole(digest: Digest, key: string): AsyncGenerator<Uint8Array> {
    const hash = createHash("sha256");
    for await (const chunk of chunksOf(await this.#client.get(key), key)) {
      hash.update(chunk);
      yield chunk;
    }
    const found = hash.digest("hex");
    if (found !== digest)
      throw new Failure("digest-mismatch", `blob ${digest}: S3 gave bytes with the digest ${found}`);
  }

  #keyOf(digest: Digest): string {
    assert(isDigest(digest), "a blob's key is made of a digest only");
    return `${this.#options.prefix}blobs/${digest}`;
  }
}

async function* chunksOf(response: Readable, key: string): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of response) yield Buffer.from(chunk);
  } catch (error) {
    throw new Failure("unavailable", `${key}: S3 broke off: ${String(error)}`, { cause: error, retryable: true });
  }
}
