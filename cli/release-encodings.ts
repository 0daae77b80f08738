/** Encodes the files of a folder for a release, in every content coding that makes them smaller, and uploads those. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { COMPRESSED_RATIO_MAX, isCompressibleSize, isCompressibleType } from "#domain/content/compressible.ts";
import type { Digest } from "#domain/content/release.ts";
import { CONTENT_CODINGS, type ContentCoding } from "#domain/http/content-coding.ts";
import { encodeContent } from "#platform/content-coding.ts";

/** The largest first; with more a manifest could be longer than edges take. */
export const ENCODED_FILES_MAX = 20_000;
/** Content whose encodings are in memory together. */
const BATCH_BYTES_MAX = 16 * 1024 * 1024;

export interface EncodableFile {
  readonly source: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly mediaType: string;
}

export interface EncodedBlob {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

export type FileEncodingDigests = Partial<Record<ContentCoding, { readonly digest: Digest }>>;

/** By the digest of the content. `upload` is given blobs that the release will name, some at a time. */
export async function encodeFiles(
  files: readonly EncodableFile[],
  upload: (blobs: readonly EncodedBlob[]) => Promise<void>,
): Promise<ReadonlyMap<Digest, FileEncodingDigests>> {
  const encodings = new Map<Digest, FileEncodingDigests>();
  for (const batch of batchesOf(worthEncoding(files))) {
    const encoded = await Promise.all(batch.map(encodeFile));
    await upload(encoded.flatMap(({ blobs }) => [...blobs.values()]));
    for (const { digest, blobs } of encoded) {
      const named = [...blobs].map(([coding, blob]) => [coding, { digest: blob.digest }] as const);
      if (named.length > 0) encodings.set(digest, Object.fromEntries(named));
    }
  }
  return encodings;
}

/** Each content once. */
function worthEncoding(files: readonly EncodableFile[]): readonly EncodableFile[] {
  const worth = files.filter((file) => isCompressibleType(file.mediaType) && isCompressibleSize(file.sizeBytes));
  const byDigest = new Map(worth.map((file) => [file.digest, file]));
  return [...byDigest.values()].sort((a, b) => b.sizeBytes - a.sizeBytes).slice(0, ENCODED_FILES_MAX);
}

function* batchesOf(files: readonly EncodableFile[]): Generator<readonly EncodableFile[]> {
  let batch: EncodableFile[] = [];
  let bytes = 0;
  for (const file of files) {
    if (bytes + file.sizeBytes > BATCH_BYTES_MAX) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(file);
    bytes += file.sizeBytes;
  }
  if (batch.length > 0) yield batch;
}

interface EncodedFile {
  readonly digest: Digest;
  readonly blobs: ReadonlyMap<ContentCoding, EncodedBlob>;
}

async function encodeFile({ source, digest }: EncodableFile): Promise<EncodedFile> {
  const content = await readFile(source);
  const all = await Promise.all(
    CONTENT_CODINGS.map(async (coding) => [coding, blobOf(await encodeContent(coding, content, "once"))] as const),
  );
  const smaller = all.filter(([, { bytes }]) => bytes.byteLength <= content.byteLength * COMPRESSED_RATIO_MAX);
  return { digest, blobs: new Map(smaller) };
}

function blobOf(bytes: Uint8Array): EncodedBlob {
  return { digest: createHash("sha256").update(bytes).digest("hex"), bytes };
}
