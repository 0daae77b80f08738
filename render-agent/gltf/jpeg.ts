/** Decodes JPEG by mozjpeg compiled to WebAssembly: what a hostile image does stays in a module of its own. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import decode, { init } from "@jsquash/jpeg/decode.js";
import { refuse } from "./gltf-fault.ts";
import type { EncodedImage } from "./gltf-scene.ts";

const DECODER = "@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm";

/** Throws `scene-invalid`. */
export async function decodeJpeg({
  bytes,
  widthPixels,
  heightPixels,
  path,
}: EncodedImage): Promise<Uint8Array<ArrayBuffer>> {
  const wasmBinary = await readFile(fileURLToPath(import.meta.resolve(DECODER)));
  // Its memory does not shrink, and after a fault it is not to be trusted: each image has a new one.
  await init({ wasmBinary, print() {}, printErr() {} });
  const image: unknown = await decode(Uint8Array.from(bytes).buffer).catch(() => undefined);
  if (!isImage(image) || image.width !== widthPixels || image.height !== heightPixels) {
    refuse(path, "must be a JPEG that can be decoded");
  }
  return new Uint8Array(image.data);
}

function isImage(
  value: unknown,
): value is { readonly width: number; readonly height: number; readonly data: Uint8ClampedArray } {
  return typeof value === "object" && value !== null && "data" in value && value.data instanceof Uint8ClampedArray;
}
