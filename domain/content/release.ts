/** An immutable release of a published site and the manifest that lists its files. Pure. */

import type { ContentCoding } from "../http/content-coding.ts";

/** Lower-case hexadecimal SHA-256 of the content. */
export type Digest = string;

export const DIGEST_PATTERN = "^[0-9a-f]{64}$";

const DIGEST = new RegExp(DIGEST_PATTERN);

export function isDigest(text: string): text is Digest {
  return DIGEST.test(text);
}

/** The signed form is a blob of its own; the release names it. */
export interface ManifestReference {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** Ed25519 over `MANIFEST_CONTEXT` and the manifest's bytes; base64url. */
  readonly signature: string;
  readonly keyId: string;
}

/** Keeps a manifest's signature from being taken for that of anything else. */
export const MANIFEST_CONTEXT = "perigee/manifest/1";

export interface ReleaseSpec {
  readonly site: string;
  /** Grows by one with each release of the site and never goes back, `rollback` included. */
  readonly generation: number;
  readonly manifest: ManifestReference;
  /** Epoch milliseconds; edges activate not before. */
  readonly activateAtMs: number;
  /** The generation whose content this is again, when it came by `rollback`. */
  readonly contentOf?: number;
}

export interface BlobReference {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export interface ManifestFile extends BlobReference {
  readonly mediaType: string;
  /** Response fields beside Content-Type, names in lower case. */
  readonly fields?: Readonly<Record<string, string>>;
  /** The same content in content codings, as blobs of their own; those that 0.1.0 made have none. */
  readonly encodings?: FileEncodings;
}

export type FileEncodings = { readonly [C in ContentCoding]?: BlobReference };

/** All that a file needs: its content, and that in each coding. */
export function blobsOf(file: ManifestFile): readonly BlobReference[] {
  return file.encodings === undefined ? [file] : [file, ...Object.values(file.encodings)];
}

export interface Manifest {
  readonly formatVersion: 1;
  readonly site: string;
  readonly generation: number;
  readonly createdAtMs: number;
  /** By path, starting with `/`, percent-decoded. */
  readonly files: Readonly<Record<string, ManifestFile>>;
}

/** Of all that its files need; what several files share counts once. */
export function releaseBytesOf({ files }: Pick<Manifest, "files">): number {
  const sizes = new Map(
    Object.values(files).flatMap((file) => blobsOf(file).map((blob) => [blob.digest, blob.sizeBytes])),
  );
  return [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
}

export function releaseName(site: string, generation: number): string {
  return `${site}.${generation}`;
}
