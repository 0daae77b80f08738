/** What edges of a pool say to one another when they ask for a blob: path, mode, part, attempt. Pure. */
import { type Digest, isDigest } from "#domain/content/release.ts";
import { type Fields, fieldValue } from "#domain/http/fields.ts";

/** Of a request, its mode; of an answer, which attempt at the blob its bytes are of. An edge that knows neither declines. */
export const BLOB_FIELD = "perigee-blob";

/**
 * `fetch`: get it if need be, and send it while it arrives; `held`: only what is there, of a part its beginning; `whole`:
 * only where all of it is there, verified.
 */
export const BLOB_MODES = ["fetch", "held", "whole"] as const;
export type BlobMode = (typeof BLOB_MODES)[number];

/** Asked for at once: what an edge that dies has sent is acknowledged by the next. */
export const PART_BYTES = 1024 * 1024;

export interface BlobPart {
  readonly digest: Digest;
  readonly mode: BlobMode;
  readonly start: number;
  /** Included. */
  readonly end: number;
}

export function formatBlobPath(digest: Digest): string {
  return `/v1/blobs/${digest}`;
}

export function formatBlobFields({ mode, start, end }: BlobPart): Fields {
  return new Map([
    [BLOB_FIELD, [mode]],
    ["range", [`bytes=${start}-${end}`]],
  ]);
}

/** `undefined` for anything but what the two above write. */
export function parseBlobPart(target: string, fields: Fields): BlobPart | undefined {
  const digest = /^\/v1\/blobs\/([^/?]+)$/.exec(target)?.[1] ?? "";
  const range = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(fieldValue(fields, "range") ?? "");
  const mode = BLOB_MODES.find((known) => known === fieldValue(fields, BLOB_FIELD));
  const [start, end] = [Number(range?.[1]), Number(range?.[2])];
  if (!isDigest(digest) || mode === undefined || range === null) return undefined;
  if (end < start || end - start >= PART_BYTES) return undefined;
  return { digest, mode, start, end };
}

export function formatContentRange({ start, end }: Pick<BlobPart, "start" | "end">, sizeBytes: number): string {
  return `bytes ${start}-${end}/${sizeBytes}`;
}
