/** Opens the blob store where the configuration says it is: a folder of this origin, or a bucket that several share. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { fileReasonOf } from "#platform/files/reason.ts";
import type { Random } from "#platform/random.ts";
import type { OriginConfig } from "../config.ts";
import { type BlobStore, openFileBlobStore } from "./file-blob-store.ts";

/** What is opened for it is the stack's to close. Throws as the store does, and `config-invalid` for a file that cannot be read. */
export async function openBlobStore(
  { dataDir, blobs }: OriginConfig,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  stack: AsyncDisposableStack,
): Promise<BlobStore> {
  if (blobs === undefined) return await openFileBlobStore(join(dataDir, "blobs"));
  const { secretKeyFile, authorityFile, ...others } = blobs.s3;
  const authority = authorityFile === undefined ? {} : { authoritiesPem: await read("authorityFile", authorityFile) };
  const secretKey = (await read("secretKeyFile", secretKeyFile)).trim();
  const { openS3BlobStore } = await import("./s3/s3-blob-store.ts");
  const options = { ...others, ...authority, secretKey, clock, random, spoolFolder: join(dataDir, "blob-spool") };
  return stack.use(await openS3BlobStore(options));
}

async function read(key: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new Failure("config-invalid", `blobs.s3.${key}: ${path} cannot be read (${fileReasonOf(error)})`, {
      cause: error,
    });
  }
}
