/** Opens a manifest that is served here or an object that one names, for render-agents and siblings: fetched where it is missing. */
import { createReadStream } from "node:fs";
import { blobsOf, type Digest } from "#domain/content/release.ts";
import { Failure } from "#domain/failure.ts";
import type { BlobFetcher } from "../prefetch/blob-fetcher.ts";
import type { ActiveReleases } from "./active-releases.ts";
import type { BlobFolder } from "./blob-folder.ts";

/** As a file is read. */
const CHUNK_BYTES = 64 * 1024;

export interface OpenObject {
  readonly sizeBytes: number;
  /** From the offset on. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

export interface ObjectParts {
  readonly active: ActiveReleases;
  readonly folder: BlobFolder;
  readonly fetcher: BlobFetcher;
}

/** Throws `not-found` for what no release names, `argument-invalid` for an offset beyond it, and what the fetcher throws. */
export async function openObject(
  { active, folder, fetcher }: ObjectParts,
  digest: Digest,
  offset: number,
): Promise<OpenObject> {
  const manifest = active.manifestBytes(digest);
  if (manifest !== undefined) return openBytes(manifest, digest, offset);
  const sizeBytes = sizeOf(active, digest);
  if (sizeBytes === undefined) throw new Failure("not-found", `object ${digest} is of no release that is served here`);
  checkOffset(digest, sizeBytes, offset);
  await fetcher.ensure({ digest, sizeBytes });
  if (!(await folder.verify(digest))) {
    await fetcher.ensure({ digest, sizeBytes });
    if (!(await folder.verify(digest))) throw new Failure("digest-mismatch", `object ${digest} is damaged on disk`);
  }
  if (offset === sizeBytes) return { sizeBytes, bytes: none() };
  return { sizeBytes, bytes: createReadStream(folder.pathOf(digest), { start: offset }) };
}

function sizeOf(active: ActiveReleases, digest: Digest): number | undefined {
  for (const { manifest } of active.all()) {
    for (const file of Object.values(manifest.files)) {
      const blob = blobsOf(file).find((one) => one.digest === digest);
      if (blob !== undefined) return blob.sizeBytes;
    }
  }
  return undefined;
}

function checkOffset(digest: Digest, sizeBytes: number, offset: number): void {
  if (offset <= sizeBytes) return;
  throw new Failure("argument-invalid", `object ${digest} has ${sizeBytes} bytes, not ${offset}`);
}

function openBytes(content: Uint8Array, digest: Digest, offset: number): OpenObject {
  checkOffset(digest, content.byteLength, offset);
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    for (let at = offset; at < content.byteLength; at += CHUNK_BYTES) yield content.subarray(at, at + CHUNK_BYTES);
  };
  return { sizeBytes: content.byteLength, bytes: chunks() };
}

async function* none(): AsyncGenerator<Uint8Array> {}
