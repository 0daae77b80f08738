/** Makes releases: a signed manifest as a blob, and one log entry with the site's next generation. */
import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import { parseManifest } from "#contracts/codec/manifest.ts";
import type { ReleaseRequest, ReleaseResult } from "#contracts/operator-api/operator.ts";
import { assert } from "#domain/assert.ts";
import {
  type BlobReference,
  blobsOf,
  type Digest,
  MANIFEST_CONTEXT,
  type Manifest,
  type ManifestFile,
  type ReleaseSpec,
  releaseName,
} from "#domain/content/release.ts";
import { Failure } from "#domain/failure.ts";
import type { Resource } from "#domain/resource.ts";
import type { Clock } from "#platform/clock.ts";
import { type SigningKey, signBytes } from "#platform/identity/signatures.ts";
import type { BlobStore } from "../blob-store/file-blob-store.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { getResource, listResources, planWrite } from "../log/resources.ts";
import { newestGeneration, releasesOf } from "./releases.ts";

/** Digests named in the message about missing blobs; the count is always there. */
const MISSING_SHOWN_MAX = 5;

export interface PublishingParts {
  readonly log: ResourceLog;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly publishKey: SigningKey;
}

/** Throws `not-found`, `argument-invalid` for a site that is pulled or blobs that are missing, `resource-conflict`. */
export async function publishRelease(
  parts: PublishingParts,
  site: string,
  request: ReleaseRequest,
): Promise<ReleaseResult> {
  checkPublished(parts.log, site);
  const files = await describeFiles(parts, request);
  const activateAtMs = request.activateAtMs ?? parts.clock.nowMs();
  return makeRelease(parts, { site, files, activateAtMs });
}

/** The content of an earlier generation as a new one. Throws `not-found` where that generation is no longer kept. */
export async function rollbackRelease(
  parts: PublishingParts,
  site: string,
  toGeneration: number,
): Promise<ReleaseResult> {
  checkPublished(parts.log, site);
  const { spec } = getResource(parts.log, "Release", releaseName(site, toGeneration));
  const { files } = await readManifest(parts.blobs, spec);
  return makeRelease(parts, { site, files, activateAtMs: parts.clock.nowMs(), contentOf: toGeneration });
}

/** Every blob that a release in the log needs, also as it was at some revisions; manifests among them. */
export async function neededBlobs(
  log: ResourceLog,
  blobs: BlobStore,
  held: readonly number[] = [],
): Promise<Set<Digest>> {
  const needed = new Set<Digest>();
  const releases = [undefined, ...held].flatMap((at) => listResources(log, "Release", at));
  for (const { spec } of new Map(releases.map((release) => [release.metadata.name, release])).values()) {
    needed.add(spec.manifest.digest);
    const { files } = await readManifest(blobs, spec);
    for (const { digest } of Object.values(files).flatMap(blobsOf)) needed.add(digest);
  }
  return needed;
}

interface NewRelease {
  readonly site: string;
  readonly files: Readonly<Record<string, ManifestFile>>;
  readonly activateAtMs: number;
  readonly contentOf?: number;
}

async function makeRelease(parts: PublishingParts, release: NewRelease): Promise<ReleaseResult> {
  const { log, blobs, clock, publishKey } = parts;
  const earlier = releasesOf(log, release.site);
  const generation = newestGeneration(log, release.site) + 1;
  const manifest: Manifest = {
    formatVersion: 1,
    site: release.site,
    generation,
    createdAtMs: clock.nowMs(),
    files: release.files,
  };
  const text = canonicalize(manifest);
  assert(text !== undefined, "a manifest has a canonical form");
  const bytes = Buffer.from(text);
  const digest = createHash("sha256").update(bytes).digest("hex");
  await blobs.put(digest, one(bytes));
  const signature = Buffer.from(signBytes(MANIFEST_CONTEXT, bytes, publishKey)).toString("base64url");
  const spec: ReleaseSpec = {
    site: release.site,
    generation,
    manifest: { digest, sizeBytes: bytes.length, signature, keyId: publishKey.keyId },
    activateAtMs: release.activateAtMs,
    ...(release.contentOf === undefined ? {} : { contentOf: release.contentOf }),
  };
  const revision = await writeRelease(parts, spec, earlier);
  const sizes = Object.values(release.files).map((file) => file.sizeBytes);
  const bytesTotal = sizes.reduce((sum, size) => sum + size, 0);
  return { site: release.site, generation, files: sizes.length, bytes: bytesTotal, manifestDigest: digest, revision };
}

/** One transaction: the new release in, those beyond `keepReleases` out. A release made meanwhile is a conflict. */
async function writeRelease(
  { log, clock }: PublishingParts,
  spec: ReleaseSpec,
  earlier: readonly Resource<"Release">[],
) {
  if (newestGeneration(log, spec.site) >= spec.generation) {
    throw new Failure("resource-conflict", `Site ${spec.site} got another release meanwhile: release again`);
  }
  const metadata = { name: releaseName(spec.site, spec.generation), labels: {}, resourceVersion: 0 };
  const { write } = planWrite(log, { kind: "Release", metadata, spec }, clock.nowMs());
  assert(write !== undefined, "a release that does not exist is created");
  const keep = getResource(log, "Site", spec.site).spec.publish?.keepReleases ?? 1;
  const superseded = earlier.slice(0, Math.max(0, earlier.length + 1 - keep)).map((release) => ({
    kind: "Release" as const,
    name: release.metadata.name,
    render: () => undefined,
  }));
  const rows = await log.write([write, ...superseded]);
  const revision = rows.at(-1)?.revision;
  assert(revision !== undefined, "a write gives its rows");
  return revision;
}

function checkPublished(log: ResourceLog, site: string): void {
  if (getResource(log, "Site", site).spec.publish !== undefined) return;
  throw new Failure(
    "argument-invalid",
    `Site ${site} is pulled from an upstream: give it spec.publish to release to it`,
  );
}

async function describeFiles(
  { blobs, clock }: PublishingParts,
  { files }: ReleaseRequest,
): Promise<Record<string, ManifestFile>> {
  const described: [string, ManifestFile][] = [];
  const missing = new Set<Digest>();
  const hold = async ({ digest }: { readonly digest: Digest }): Promise<BlobReference> => {
    const sizeBytes = await blobs.hold(digest, clock.nowMs());
    if (sizeBytes === undefined) missing.add(digest);
    return { digest, sizeBytes: sizeBytes ?? 0 };
  };
  for (const [path, { digest, mediaType, fields, encodings }] of Object.entries(files)) {
    const content = await hold({ digest });
    const encoded: [string, BlobReference][] = [];
    for (const [coding, blob] of Object.entries(encodings ?? {})) encoded.push([coding, await hold(blob)]);
    const more = { ...(fields && { fields }), ...(encodings && { encodings: Object.fromEntries(encoded) }) };
    described.push([path, { ...content, mediaType, ...more }]);
  }
  if (missing.size === 0) return Object.fromEntries(described);
  const shown = [...missing].slice(0, MISSING_SHOWN_MAX).join(", ");
  throw new Failure(
    "argument-invalid",
    `${missing.size} blobs are not uploaded, first ${shown}: upload, then release`,
    {
      detail: { missing: missing.size },
    },
  );
}

async function readManifest(blobs: BlobStore, { manifest, site, generation }: ReleaseSpec): Promise<Manifest> {
  const size = await blobs.findSize(manifest.digest);
  if (size === undefined) throw new Failure("not-found", `the manifest of ${releaseName(site, generation)} is missing`);
  const parts: Buffer[] = [];
  for await (const chunk of blobs.read(manifest.digest)) parts.push(Buffer.from(chunk));
  return parseManifest(Buffer.concat(parts));
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
