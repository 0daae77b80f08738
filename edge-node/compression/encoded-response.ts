/** Decides what is compressed, and what an encoded variant of a stored response is: its key, its validator, its fields. Pure. */
import { isCompressibleSize, isCompressibleType } from "#domain/content/compressible.ts";
import { parseCacheControl } from "#domain/http/cache-control.ts";
import { type ContentCoding, withVaryOnEncoding } from "#domain/http/content-coding.ts";
import { type Fields, fieldValue } from "#domain/http/fields.ts";
import type { ResponseHead, StoredResponse } from "../store/stored-response.ts";

export type CompressionDecision =
  | { readonly kind: "compress" }
  | {
      readonly kind: "leave";
      readonly because: "status" | "slice" | "encoded" | "no-transform" | "media-type" | "size";
    };

/** `sizeBytes` is `undefined` while a response arrives without a length. */
export function decideCompression(
  { status, slice, fields }: Pick<ResponseHead, "status" | "slice" | "fields">,
  sizeBytes: number | undefined,
): CompressionDecision {
  if (status !== 200) return { kind: "leave", because: "status" };
  if (slice !== undefined) return { kind: "leave", because: "slice" };
  if (fields.has("content-encoding")) return { kind: "leave", because: "encoded" };
  // RFC 9111 section 5.2.2.6.
  if (parseCacheControl(fieldValue(fields, "cache-control")).has("no-transform"))
    return { kind: "leave", because: "no-transform" };
  if (!isCompressibleType(fieldValue(fields, "content-type") ?? "")) return { kind: "leave", because: "media-type" };
  if (sizeBytes !== undefined && !isCompressibleSize(sizeBytes)) return { kind: "leave", because: "size" };
  return { kind: "compress" };
}

/** Encoded variants are kept as slices of their target that count down from -1: found, removed and purged with it. */
const SLICES: Readonly<Record<ContentCoding, number>> = { br: -1, zstd: -2, gzip: -3 };

export function sliceOf(coding: ContentCoding): number {
  return SLICES[coding];
}

export interface EncodedContent {
  readonly coding: ContentCoding;
  /** Digests of the content before and after, base64url. */
  readonly digest: string;
  readonly encodedDigest: string;
}

/** What it answers has the other fields and the freshness of the response that it was made of, as they are then. */
export function encodedHead(stored: ResponseHead, content: EncodedContent): ResponseHead {
  const { coding } = content;
  return { ...stored, slice: sliceOf(coding), fields: encodedFields(stored.fields, coding, entityTagOf(content)) };
}

/** Strong: of these very bytes, whichever library made them; and of what they decode to. */
function entityTagOf({ coding, digest, encodedDigest }: EncodedContent): string {
  return `"${digest.slice(0, 22)}.${encodedDigest.slice(0, 11)}-${coding}"`;
}

/** Whether an encoded variant was made of content with this digest. */
export function isEncodingOf(encoded: Pick<ResponseHead, "fields">, digest: string): boolean {
  return fieldValue(encoded.fields, "etag")?.startsWith(`"${digest.slice(0, 22)}.`) === true;
}

/** They are of the content as it was before (RFC 9530, RFC 1864). */
const OF_THE_CONTENT = ["content-length", "content-digest", "repr-digest", "digest", "content-md5"];

function encodedFields(fields: Fields, coding: string, entityTag: string): Fields {
  const encoded = new Map(withVaryOnEncoding(fields));
  for (const name of OF_THE_CONTENT) encoded.delete(name);
  return encoded.set("content-encoding", [coding]).set("etag", [entityTag]);
}

/** The stored response with the content of its encoded variant. */
export function withEncoding(stored: StoredResponse, encoded: StoredResponse, coding: ContentCoding): StoredResponse {
  const entityTag = fieldValue(encoded.fields, "etag") ?? "";
  return { ...stored, fields: encodedFields(stored.fields, coding, entityTag), body: encoded.body };
}
