/** Where the bytes of buffers and images are: in the file itself, inline, or in files of the same bundle. Pure. */
import { refuse } from "./gltf-fault.ts";
import { BINARY_CHUNK, GLTF_BYTES_MAX, type GltfFile } from "./gltf-file.ts";
import type { Gltf } from "./gltf-schema.ts";

const URI_LENGTH_MAX = 1024;
const DATA_URI_HEAD = /^data:[a-z0-9.+/-]{0,64}(?:;[a-z0-9=-]{1,64})?;base64,/i;

/** Bytes by URI as the JSON has it. */
export type ResourceBytes = ReadonlyMap<string, Uint8Array>;

/** Paths of a bundle by URI, for a scene that is at `scenePath` in it. Throws `scene-invalid`. */
export function bundlePathsOf(json: Gltf, scenePath: string): ReadonlyMap<string, string> {
  const paths = new Map<string, string>();
  for (const { uri, path } of urisOf(json)) if (!isInline(uri)) paths.set(uri, bundlePathOf(uri, path, scenePath));
  return paths;
}

/** With what is inline decoded. Throws `scene-invalid` where a file is missing. */
export function resourceBytesOf({ json, binaryChunk }: GltfFile, files: ResourceBytes): ResourceBytes {
  const all = new Map<string, Uint8Array>();
  if (binaryChunk !== undefined) all.set(BINARY_CHUNK, binaryChunk);
  let left = GLTF_BYTES_MAX;
  for (const { uri, path } of urisOf(json)) {
    if (all.has(uri)) continue;
    const bytes = isInline(uri) ? decodeDataUri(uri, path) : files.get(uri);
    if (bytes === undefined) refuse(path, `must be a file of the scene's bundle, got ${shown(uri)}`);
    left -= bytes.byteLength;
    if (left < 0) refuse(path, `makes the scene larger than ${GLTF_BYTES_MAX} bytes`);
    all.set(uri, bytes);
  }
  return all;
}

function urisOf({ buffers = [], images = [] }: Gltf): { readonly uri: string; readonly path: string }[] {
  const named = [...entriesOf(buffers, "buffers"), ...entriesOf(images, "images")];
  return named.flatMap(({ uri, path }) => (uri === undefined ? [] : [{ uri, path }]));
}

function entriesOf(list: readonly { readonly uri?: string }[], name: string) {
  return list.map(({ uri }, index) => ({ uri, path: `${name}[${index}].uri` }));
}

export function isInline(uri: string): boolean {
  return /^data:/i.test(uri);
}

/** Throws `scene-invalid`. */
export function decodeDataUri(uri: string, path: string): Uint8Array {
  const [head] = DATA_URI_HEAD.exec(uri) ?? [];
  const text = uri.slice(head?.length ?? 0).replace(/={1,2}$/, "");
  if (head === undefined || /[^A-Za-z0-9+/]/.test(text)) {
    refuse(path, `must be data in base64 where it is inline, got ${shown(uri)}`);
  }
  return Buffer.from(text, "base64");
}

/** Relative, below the folder of the scene (RFC 3986 section 4.2): a bundle reaches nothing outside itself. */
export function bundlePathOf(uri: string, path: string, scenePath: string): string {
  if (uri.length > URI_LENGTH_MAX) refuse(path, `must have at most ${URI_LENGTH_MAX} characters, got ${uri.length}`);
  const decoded = decodePercent(uri);
  const parts = decoded?.split("/") ?? [];
  const isPlain = parts.every((part) => part !== "" && part !== "." && part !== "..");
  if (decoded === undefined || !isPlain || /[:?#\\\p{Cc}]/u.test(decoded)) {
    refuse(path, `must be a relative path below the scene's folder, got ${shown(uri)}`);
  }
  return `${scenePath.slice(0, scenePath.lastIndexOf("/") + 1)}${decoded}`;
}

function decodePercent(uri: string): string | undefined {
  try {
    return decodeURIComponent(uri);
  } catch {
    return undefined;
  }
}

function shown(uri: string): string {
  return JSON.stringify(uri.slice(0, 80));
}
