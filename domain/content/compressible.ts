/** What content is worth compressing: by media type and size. Pure. */

/** A smaller one is a packet either way, and its fields are as long. */
export const COMPRESSIBLE_BYTES_MIN = 1024;
/** A larger one is read part by part, and would keep a thread for long. */
export const COMPRESSIBLE_BYTES_MAX = 8 * 1024 * 1024;
/** What saves less is not worth another copy. */
export const COMPRESSED_RATIO_MAX = 0.9;

/** Beside text and whatever is written in JSON or XML; fonts and images that are compressed already are not here. */
const TYPES: ReadonlySet<string> = new Set([
  "application/graphql",
  "application/javascript",
  "application/json",
  "application/jsonl",
  "application/manifest+json",
  "application/sql",
  "application/toml",
  "application/typescript",
  "application/vnd.apple.mpegurl",
  "application/vnd.ms-fontobject",
  "application/wasm",
  "application/x-javascript",
  "application/x-ndjson",
  "application/x-sh",
  "application/xml",
  "application/xml-dtd",
  "application/yaml",
  "font/collection",
  "font/otf",
  "font/ttf",
  "image/bmp",
  "image/vnd.microsoft.icon",
  "image/x-icon",
  "model/obj",
  "model/stl",
]);
/** It is read while it is written: nobody waits for the end of it. */
const STREAMED = "text/event-stream";

/** With or without parameters. */
export function isCompressibleType(mediaType: string): boolean {
  const [type = ""] = mediaType.split(";", 1);
  const name = type.trim().toLowerCase();
  if (name === STREAMED) return false;
  return name.startsWith("text/") || /\+(?:json|xml|yaml|text)$/.test(name) || TYPES.has(name);
}

export function isCompressibleSize(sizeBytes: number): boolean {
  return sizeBytes >= COMPRESSIBLE_BYTES_MIN && sizeBytes <= COMPRESSIBLE_BYTES_MAX;
}
