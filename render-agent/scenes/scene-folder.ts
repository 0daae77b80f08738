/** Scenes and manifests by digest on disk: verified when they come and when they are read, and no more than a bound. */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, isDigest } from "#domain/content/release.ts";
import { Failure } from "#domain/failure.ts";
import { isTemporaryName, storageFailure, writeFileDurably } from "#platform/files/durable.ts";

/** Scores of scenes of the largest size. */
const FOLDER_BYTES_MAX = 1024 * 1024 * 1024;

export interface SceneFolder {
  pathOf(digest: Digest): string;
  /** `undefined` where it is not there, or is not what its name says: then it is removed. */
  read(digest: Digest): Promise<Uint8Array | undefined>;
  /** Durable when it resolves. Throws `digest-mismatch`, `disk-full`, `storage-failed`. */
  write(digest: Digest, bytes: Uint8Array): Promise<void>;
  /** What was made here, under its own digest. Throws `disk-full`, `storage-failed`. */
  keep(bytes: Uint8Array): Promise<Digest>;
  /** Removes what is not needed. Throws `storage-failed`. */
  collect(needed: ReadonlySet<Digest>): Promise<void>;
}

export async function openSceneFolder(folder: string): Promise<SceneFolder> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const name of await readdir(folder)) if (isTemporaryName(name)) await rm(join(folder, name), { force: true });
  const pathOf = (digest: Digest): string => join(folder, digest);
  const read = async (digest: Digest): Promise<Uint8Array | undefined> => {
    const bytes = await readFile(pathOf(digest)).catch(() => undefined);
    if (bytes === undefined || digestOf(bytes) === digest) return bytes;
    await rm(pathOf(digest), { force: true });
    return undefined;
  };
  const store = async (digest: Digest, bytes: Uint8Array): Promise<void> => {
    if ((await bytesIn(folder)) + bytes.byteLength > FOLDER_BYTES_MAX) {
      throw new Failure("disk-full", `${folder}: more than ${FOLDER_BYTES_MAX} bytes of scenes`);
    }
    await writeFileDurably(pathOf(digest), bytes);
  };
  return {
    pathOf,
    read,
    async write(digest, bytes) {
      const actual = digestOf(bytes);
      if (actual !== digest) {
        throw new Failure(
          "digest-mismatch",
          `blob ${digest}: received ${bytes.byteLength} bytes with the digest ${actual}`,
        );
      }
      await store(digest, bytes);
    },
    async keep(bytes) {
      const digest = digestOf(bytes);
      if ((await read(digest)) === undefined) await store(digest, bytes);
      return digest;
    },
    async collect(needed) {
      for (const name of await namesIn(folder)) {
        if (isDigest(name) && !needed.has(name)) await rm(pathOf(name), { force: true });
      }
    },
  };
}

function digestOf(bytes: Uint8Array): Digest {
  return createHash("sha256").update(bytes).digest("hex");
}

async function bytesIn(folder: string): Promise<number> {
  let sum = 0;
  for (const name of await namesIn(folder)) {
    // One that was removed meanwhile takes no room.
    sum += await stat(join(folder, name)).then(
      ({ size }) => size,
      () => 0,
    );
  }
  return sum;
}

function namesIn(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch((error: unknown) => {
    throw storageFailure(error, folder);
  });
}
