/** The content of an answer with several ranges: `multipart/byteranges` (RFC 9110 section 14.6). */
import { createHash } from "node:crypto";
import type { ResolvedRange } from "#domain/http/range.ts";

export interface ByteRanges {
  readonly contentType: string;
  readonly byteLength: number;
  body(): AsyncGenerator<Uint8Array>;
}

export interface ByteRangesOptions {
  readonly ranges: readonly ResolvedRange[];
  readonly sizeBytes: number;
  /** Of each part. */
  readonly mediaType: string | undefined;
  /** Makes the boundary one that no content foresees. */
  readonly salt: string;
  readonly read: (range: ResolvedRange) => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

export function byteRanges({ ranges, sizeBytes, mediaType, salt, read }: ByteRangesOptions): ByteRanges {
  const boundary = createHash("sha256").update(salt).digest("hex").slice(0, BOUNDARY_CHARACTERS);
  const type = mediaType === undefined ? "" : `Content-Type: ${mediaType}\r\n`;
  const parts = ranges.map((range, index) => {
    const { start, end } = range;
    const delimiter = `${index === 0 ? "" : "\r\n"}--${boundary}\r\n`;
    const head = Buffer.from(`${delimiter}${type}Content-Range: bytes ${start}-${end}/${sizeBytes}\r\n\r\n`, "latin1");
    return { range, head, byteLength: head.byteLength + end - start + 1 };
  });
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  return {
    contentType: `multipart/byteranges; boundary=${boundary}`,
    byteLength: parts.reduce((sum, { byteLength }) => sum + byteLength, tail.byteLength),
    async *body() {
      for (const { head, range } of parts) {
        yield head;
        yield* read(range);
      }
      yield tail;
    },
  };
}

const BOUNDARY_CHARACTERS = 32;
