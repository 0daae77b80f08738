/** Takes a .glb (glTF 2.0 section 4) or .gltf apart into JSON that has the right shape, and the binary chunk. Pure. */
import { Value } from "typebox/value";
import { Failure } from "#domain/failure.ts";
import { faultsOf } from "#domain/schema-faults.ts";
import { parseBoundedJson } from "./bounded-json.ts";
import { refuse } from "./gltf-fault.ts";
import { type Gltf, gltfSchema } from "./gltf-schema.ts";

/** All files of a scene together: some seconds of a slow link, and as much memory twice while it is read. */
export const GLTF_BYTES_MAX = 64 * 1024 * 1024;
/** Thousands of nodes and animations; binary data goes elsewhere. */
const GLTF_JSON_BYTES_MAX = 16 * 1024 * 1024;
/** Sixteen of each accessor. */
const GLTF_JSON_VALUES_MAX = 262_144;
export const FAULTS_SHOWN_MAX = 10;

const MAGIC = 0x46_54_6c_67;
const CHUNK_JSON = 0x4e_4f_53_4a;
const CHUNK_BIN = 0x00_4e_49_42;
const HEADER_BYTES = 12;
const CHUNK_HEADER_BYTES = 8;

/** The binary chunk goes by the empty name, which no URI is. */
export const BINARY_CHUNK = "";

export interface GltfFile {
  readonly json: Gltf;
  readonly binaryChunk?: Uint8Array;
}

export function isGlb(bytes: Uint8Array): boolean {
  return bytes.byteLength >= 4 && viewOf(bytes).getUint32(0, true) === MAGIC;
}

/** Throws `scene-invalid`. */
export function openGltfFile(bytes: Uint8Array): GltfFile {
  if (bytes.byteLength > GLTF_BYTES_MAX) {
    refuse("the file", `must have at most ${GLTF_BYTES_MAX} bytes, got ${bytes.byteLength}`);
  }
  if (!isGlb(bytes)) return { json: parseGltfJson(bytes) };
  const [jsonBytes, binaryChunk] = chunksOf(bytes);
  const json = parseGltfJson(jsonBytes);
  return binaryChunk === undefined ? { json } : { json, binaryChunk };
}

/** `binary` is left out where it has no bytes; its parts together have a multiple of 4. */
export function glbOf(json: object, binary: readonly Uint8Array[]): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(json));
  const padding = new Uint8Array((4 - (text.byteLength % 4)) % 4).fill(0x20);
  const chunks = [chunkOf(CHUNK_JSON, [text, padding]), ...(binary.length === 0 ? [] : [chunkOf(CHUNK_BIN, binary)])];
  const length = chunks.flat().reduce((sum, { byteLength }) => sum + byteLength, HEADER_BYTES);
  return concatenated([wordsOf(MAGIC, 2, length), ...chunks.flat()]);
}

function chunkOf(type: number, parts: readonly Uint8Array[]): readonly Uint8Array[] {
  const length = parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return [wordsOf(length, type), ...parts];
}

function wordsOf(...words: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(words).buffer);
}

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.byteLength;
  }
  return whole;
}

/** What follows the binary chunk is for extensions and left alone. */
function chunksOf(bytes: Uint8Array): readonly [json: Uint8Array, binary?: Uint8Array] {
  const view = viewOf(bytes);
  if (bytes.byteLength < HEADER_BYTES) refuse("the GLB header", `must have 12 bytes, got ${bytes.byteLength}`);
  const [version, length] = [view.getUint32(4, true), view.getUint32(8, true)];
  if (version !== 2) refuse("the GLB header", `must be of version 2, got ${version}`);
  if (length !== bytes.byteLength) refuse("the GLB header", `says ${length} bytes, the file has ${bytes.byteLength}`);
  const json = chunkAt(bytes, HEADER_BYTES, CHUNK_JSON, "the JSON chunk");
  const next = json.byteOffset - bytes.byteOffset + json.byteLength;
  if (next === bytes.byteLength) return [json];
  const isBinary = next + CHUNK_HEADER_BYTES <= bytes.byteLength && view.getUint32(next + 4, true) === CHUNK_BIN;
  const binary = chunkAt(bytes, next, isBinary ? CHUNK_BIN : undefined, "the second chunk");
  return isBinary ? [json, binary] : [json];
}

function chunkAt(bytes: Uint8Array, offset: number, type: number | undefined, name: string): Uint8Array {
  const start = offset + CHUNK_HEADER_BYTES;
  if (start > bytes.byteLength) refuse(name, `must begin in the file, which has ${bytes.byteLength} bytes`);
  const view = viewOf(bytes);
  const [length, actualType] = [view.getUint32(offset, true), view.getUint32(offset + 4, true)];
  if (type !== undefined && actualType !== type) refuse(name, `must come first, got type ${actualType.toString(16)}`);
  if (length % 4 !== 0) refuse(name, `must have a multiple of 4 bytes, got ${length}`);
  if (start + length > bytes.byteLength) {
    refuse(name, `has ${length} bytes, the file has ${bytes.byteLength - start} left`);
  }
  return bytes.subarray(start, start + length);
}

function parseGltfJson(bytes: Uint8Array): Gltf {
  const value = parseBoundedJson(bytes, { bytesMax: GLTF_JSON_BYTES_MAX, valuesMax: GLTF_JSON_VALUES_MAX });
  if (Value.Check(gltfSchema, value)) return value;
  const faults = faultsOf(Value.Errors(gltfSchema, value), value).slice(0, FAULTS_SHOWN_MAX);
  throw new Failure("scene-invalid", `scene: ${faults.map(({ message }) => message).join("; ")}`);
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
