/** What kind of image some bytes are and how large, without decoding them (PNG third edition; JPEG, ITU-T T.81). Pure. */
import { refuse } from "./gltf-fault.ts";

/** Of an image, each way. */
const IMAGE_SIDE_PIXELS_MAX = 4096;
/** Each is decoded over the whole picture; encoders write ten. */
const JPEG_SCANS_MAX = 32;

export interface ImageHeader {
  readonly kind: "png" | "jpeg";
  readonly widthPixels: number;
  readonly heightPixels: number;
}

/** Throws `scene-invalid` of what is neither PNG nor JPEG, or too large. */
export function readImageHeader(bytes: Uint8Array, path: string): ImageHeader {
  const header = pngHeaderOf(bytes) ?? jpegHeaderOf(bytes, path);
  if (header === undefined) refuse(path, "must be a PNG or JPEG image");
  const { widthPixels, heightPixels } = header;
  for (const side of [widthPixels, heightPixels]) {
    if (side < 1 || side > IMAGE_SIDE_PIXELS_MAX) {
      refuse(path, `must have 1..${IMAGE_SIDE_PIXELS_MAX} pixels a side, got ${widthPixels}×${heightPixels}`);
    }
  }
  return header;
}

const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
export const PNG_SIGNATURE_BYTES = 8;
const PNG_HEADER_END = 33;

function pngHeaderOf(bytes: Uint8Array): ImageHeader | undefined {
  if (bytes.byteLength < PNG_HEADER_END || PNG_SIGNATURE.some((byte, index) => bytes[index] !== byte)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { kind: "png", widthPixels: view.getUint32(16), heightPixels: view.getUint32(20) };
}

/** Markers that begin a frame: 0xC0..0xCF but for tables and extensions. */
const isFrameStart = (marker: number): boolean =>
  marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
const SCAN_START = 0xda;

function jpegHeaderOf(bytes: Uint8Array, path: string): ImageHeader | undefined {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 2;
  while (at + 9 <= bytes.byteLength && bytes[at] === 0xff) {
    const marker = bytes[at + 1] ?? 0;
    if (isFrameStart(marker)) {
      refuseScans(bytes.subarray(at), path);
      return { kind: "jpeg", heightPixels: view.getUint16(at + 5), widthPixels: view.getUint16(at + 7) };
    }
    if (marker === SCAN_START) return undefined;
    // Fill bytes may stand before a marker.
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  return undefined;
}

/** Within a scan 0xFF is followed by 0: a pair that looks like a scan's start is one, or some table's chance. */
function refuseScans(bytes: Uint8Array, path: string): void {
  let scans = 0;
  for (let at = bytes.indexOf(0xff); at !== -1; at = bytes.indexOf(0xff, at + 1)) {
    if (bytes[at + 1] === SCAN_START) scans += 1;
  }
  if (scans > JPEG_SCANS_MAX) refuse(path, `must have at most ${JPEG_SCANS_MAX} scans, got ${scans}`);
}
