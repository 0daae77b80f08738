/** Opens an object that a release served here names, for render-agents and siblings: fetched where it is missing. */
import { createReadStream } from "node:fs";
import type { Digest } from "#domain/content/release.ts";
import { Failure } from "#domain/failure.ts";
import type { BlobFetcher } from "../prefetch/blob-fetcher.ts";
import type { ActiveReleases } from "./active-releases.ts";
import type { BlobFolder } from "./blob-folder.ts";

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
  const sizeBytes = sizeOf(active, digest);
  if (sizeBytes === undefined) throw new Failure("not-found", `object ${digest} is of no release that is served here`);
  if (offset > sizeBytes)
    throw new Failure("argument-invalid", `object ${digest} has ${sizeBytes} bytes, not ${offset}`);
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
    for (const file of Object.values(manifest.files)) if (file.digest === digest) return file.sizeBytes;
  }
  return undefined;
}

async function* none(): AsyncGenerator<Uint8Array> {}
