/** Encodes content (RFC 9110 section 8.4.1), on the threads that Node has for it: the event loop goes on. */
import { promisify } from "node:util";
import { brotliCompress, constants, gzip, zstdCompress } from "node:zlib";
import type { ContentCoding } from "#domain/http/content-coding.ts";

/** `live`: while users wait for the next one; `once`: for a release that is read many times. */
export type CodingEffort = "live" | "once";

const brotli = promisify(brotliCompress);
const deflate = promisify(gzip);
const zstandard = promisify(zstdCompress);

/** Beyond this the best quality takes a minute of a processor, and saves a hundredth. */
const BEST_QUALITY_BYTES_MAX = 2 * 1024 * 1024;

/** The same bytes for the same content under one version of Node. */
export function encodeContent(coding: ContentCoding, content: Uint8Array, effort: CodingEffort): Promise<Uint8Array> {
  switch (coding) {
    case "br": {
      const best = content.byteLength > BEST_QUALITY_BYTES_MAX ? 9 : 11;
      return brotli(content, {
        params: {
          [constants.BROTLI_PARAM_QUALITY]: effort === "once" ? best : 5,
          [constants.BROTLI_PARAM_SIZE_HINT]: content.byteLength,
        },
      });
    }
    case "zstd":
      return zstandard(content, { params: { [constants.ZSTD_c_compressionLevel]: effort === "once" ? 19 : 6 } });
    case "gzip":
      return deflate(content, { level: effort === "once" ? 9 : 6 });
  }
}
