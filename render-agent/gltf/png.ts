/** Decodes PNG (third edition, 2025) of any colour type, depth and interlacing into RGBA of 8 bits; gamma and profiles are left out. */
import { crc32, inflateSync } from "node:zlib";
import { refuse } from "./gltf-fault.ts";
import type { EncodedImage } from "./gltf-scene.ts";
import { PNG_SIGNATURE_BYTES } from "./image-header.ts";

/** Samples of a pixel by colour type. */
const SAMPLES: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const DEPTHS: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
};
const PALETTE = 3;
const CHUNKS = ["IHDR", "PLTE", "tRNS", "IDAT"] as const;
/** Of Adam7: where each pass begins, and its steps. */
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;
const WHOLE = [[0, 0, 1, 1]] as const;

interface Parts {
  readonly depth: number;
  readonly colourType: number;
  readonly isInterlaced: boolean;
  readonly palette: Uint8Array;
  readonly transparency: Uint8Array;
  readonly compressed: Uint8Array;
}

interface Pass {
  readonly x: number;
  readonly y: number;
  readonly stepX: number;
  readonly stepY: number;
  readonly columns: number;
  readonly rows: number;
}

/** Where its pixels go, in bytes. */
interface Row {
  readonly start: number;
  readonly step: number;
  readonly columns: number;
}

/** Throws `scene-invalid`. */
export function decodePng({ bytes, widthPixels, heightPixels, path }: EncodedImage): Uint8Array<ArrayBuffer> {
  const parts = partsOf(bytes, path);
  const bits = (SAMPLES[parts.colourType] ?? 0) * parts.depth;
  const passes = (parts.isInterlaced ? PASSES : WHOLE).flatMap(([x, y, stepX, stepY]): Pass[] => {
    const columns = Math.ceil((widthPixels - x) / stepX);
    const rows = Math.ceil((heightPixels - y) / stepY);
    return columns > 0 && rows > 0 ? [{ x, y, stepX, stepY, columns, rows }] : [];
  });
  const rowBytes = (columns: number): number => Math.ceil((columns * bits) / 8);
  const expected = passes.reduce((sum, { columns, rows }) => sum + rows * (rowBytes(columns) + 1), 0);
  const filtered = inflate(parts.compressed, expected, path);
  const pixels = new Uint8Array(widthPixels * heightPixels * 4);
  let offset = 0;
  for (const pass of passes) {
    const length = rowBytes(pass.columns);
    let above: Uint8Array = new Uint8Array(length);
    for (let row = 0; row < pass.rows; row += 1) {
      const line = filtered.subarray(offset + 1, offset + 1 + length);
      unfilter(line, above, { kind: filtered[offset] ?? 0, pixelBytes: Math.max(1, bits >> 3), path });
      const start = ((pass.y + row * pass.stepY) * widthPixels + pass.x) * 4;
      writeRow(pixels, line, { start, step: pass.stepX * 4, columns: pass.columns }, parts);
      above = line;
      offset += 1 + length;
    }
  }
  return pixels;
}

function partsOf(bytes: Uint8Array, path: string): Parts {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks: Record<(typeof CHUNKS)[number], Uint8Array[]> = { IHDR: [], PLTE: [], tRNS: [], IDAT: [] };
  for (let at = PNG_SIGNATURE_BYTES; at + 12 <= bytes.byteLength; ) {
    const length = view.getUint32(at);
    if (at + 12 + length > bytes.byteLength) break;
    const typed = bytes.subarray(at + 4, at + 8 + length);
    if (crc32(typed) !== view.getUint32(at + 8 + length))
      refuse(path, `must be a whole PNG, the chunk at ${at} is damaged`);
    const type = CHUNKS.find((name) => [...name].every((letter, place) => letter.charCodeAt(0) === typed[place]));
    if (type !== undefined) chunks[type].push(typed.subarray(4));
    at += 12 + length;
  }
  const [header = new Uint8Array()] = chunks.IHDR;
  const [, , , , , , , , depth = 0, colourType = 0, compression, filter, interlace = 0] = header;
  if (DEPTHS[colourType]?.includes(depth) !== true || compression !== 0 || filter !== 0 || interlace > 1) {
    refuse(path, `must be a PNG of a known kind, got colour type ${colourType} with ${depth} bits`);
  }
  const [palette = new Uint8Array()] = chunks.PLTE;
  const [transparency = new Uint8Array()] = chunks.tRNS;
  const compressed = Buffer.concat(chunks.IDAT);
  return { depth, colourType, isInterlaced: interlace === 1, palette, transparency, compressed };
}

/** Neither more nor less than the picture has. */
function inflate(compressed: Uint8Array, expectedBytes: number, path: string): Uint8Array {
  let inflated: Uint8Array | undefined;
  try {
    inflated = inflateSync(compressed, { maxOutputLength: expectedBytes });
  } catch {
    refuse(path, "must be a PNG whose data can be inflated to its size");
  }
  if (inflated.byteLength !== expectedBytes) {
    refuse(path, `must have ${expectedBytes} bytes of rows, got ${inflated.byteLength}`);
  }
  return inflated;
}

interface Filter {
  readonly kind: number;
  readonly pixelBytes: number;
  readonly path: string;
}

type Unfilter = (line: Uint8Array, above: Uint8Array, pixelBytes: number) => void;

/** Each adds to a byte what stands to the left, above, or both; loops of their own, since every byte goes through one. */
const UNFILTERS: readonly Unfilter[] = [
  () => {},
  (line, _above, pixelBytes) => {
    for (let at = pixelBytes; at < line.length; at += 1) line[at] = (line[at] ?? 0) + (line[at - pixelBytes] ?? 0);
  },
  (line, above) => {
    for (let at = 0; at < line.length; at += 1) line[at] = (line[at] ?? 0) + (above[at] ?? 0);
  },
  (line, above, pixelBytes) => {
    for (let at = 0; at < line.length; at += 1) {
      const left = at < pixelBytes ? 0 : (line[at - pixelBytes] ?? 0);
      line[at] = (line[at] ?? 0) + ((left + (above[at] ?? 0)) >> 1);
    }
  },
  (line, above, pixelBytes) => {
    for (let at = 0; at < line.length; at += 1) {
      const left = at < pixelBytes ? 0 : (line[at - pixelBytes] ?? 0);
      const corner = at < pixelBytes ? 0 : (above[at - pixelBytes] ?? 0);
      line[at] = (line[at] ?? 0) + paeth(left, above[at] ?? 0, corner);
    }
  },
];

function paeth(left: number, up: number, corner: number): number {
  const toLeft = Math.abs(up - corner);
  const toUp = Math.abs(left - corner);
  const toCorner = Math.abs(left + up - 2 * corner);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}

/** In place. */
function unfilter(line: Uint8Array, above: Uint8Array, { kind, pixelBytes, path }: Filter): void {
  const own = UNFILTERS[kind];
  if (own === undefined) refuse(path, `must have row filters of 0..4, got ${kind}`);
  own(line, above, pixelBytes);
}

/** Pixels of a pass stand apart in their row. */
function writeRow(pixels: Uint8Array, line: Uint8Array, { start, step, columns }: Row, parts: Parts): void {
  const { colourType, depth, transparency } = parts;
  const isPlain = depth === 8 && colourType !== PALETTE && transparency.length === 0;
  const samples = SAMPLES[colourType] ?? 1;
  if (!isPlain || samples < 3) {
    for (let column = 0; column < columns; column += 1) writePixel(pixels, start + column * step, line, column, parts);
    return;
  }
  let from = 0;
  for (let column = 0, to = start; column < columns; column += 1, to += step) {
    pixels[to] = line[from] ?? 0;
    pixels[to + 1] = line[from + 1] ?? 0;
    pixels[to + 2] = line[from + 2] ?? 0;
    pixels[to + 3] = samples === 4 ? (line[from + 3] ?? 0) : 255;
    from += samples;
  }
}

function writePixel(pixels: Uint8Array, to: number, line: Uint8Array, column: number, parts: Parts): void {
  const { colourType, depth, palette, transparency } = parts;
  const samples = SAMPLES[colourType] ?? 1;
  const first = sampleAt(line, column * samples, depth);
  if (colourType === PALETTE) {
    for (let part = 0; part < 3; part += 1) pixels[to + part] = palette[first * 3 + part] ?? 0;
    pixels[to + 3] = transparency[first] ?? 255;
    return;
  }
  const isGrey = samples < 3;
  let isKey = transparency.length >= (isGrey ? 2 : 6);
  for (let part = 0; part < 3; part += 1) {
    const sample = isGrey ? first : sampleAt(line, column * samples + part, depth);
    const at = isGrey ? 0 : part * 2;
    if (((transparency[at] ?? 0) << 8) + (transparency[at + 1] ?? 0) !== sample) isKey = false;
    pixels[to + part] = eightBits(sample, depth);
  }
  const hasAlpha = samples % 2 === 0;
  pixels[to + 3] = hasAlpha ? eightBits(sampleAt(line, (column + 1) * samples - 1, depth), depth) : isKey ? 0 : 255;
}

function sampleAt(line: Uint8Array, index: number, depth: number): number {
  if (depth === 8) return line[index] ?? 0;
  if (depth === 16) return ((line[index * 2] ?? 0) << 8) + (line[index * 2 + 1] ?? 0);
  const bit = index * depth;
  return ((line[bit >> 3] ?? 0) >> (8 - depth - (bit & 7))) & ((1 << depth) - 1);
}

function eightBits(sample: number, depth: number): number {
  if (depth === 8) return sample;
  return depth === 16 ? sample >> 8 : (sample * 255) / ((1 << depth) - 1);
}
