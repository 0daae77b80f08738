/** Images are decoded to the pixels that were written, whatever the encoding, and nothing but images is. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { crc32, deflateSync } from "node:zlib";
import encodeJpeg, { init } from "@jsquash/jpeg/encode.js";
import fc from "fast-check";
import t from "tap";
import { pngOf } from "#deploy/one-machine/sample/scene/png.ts";
import { isFailure } from "#domain/failure.ts";
import { decodeImages, type Level } from "./decoded-images.ts";
import { readImageHeader } from "./image-header.ts";

const PATH = "images[0]";

async function decode(bytes: Uint8Array): Promise<readonly Level[]> {
  const image = { ...readImageHeader(bytes, PATH), bytes, path: PATH };
  return (await decodeImages({ images: new Map([[0, image]]) })).get(0) ?? [];
}

async function messageOf(bytes: Uint8Array): Promise<string> {
  try {
    await decode(bytes);
    return "nothing was wrong";
  } catch (error) {
    if (!isFailure(error, "scene-invalid")) throw error;
    return error.message;
  }
}

interface Png {
  readonly size: readonly [width: number, height: number];
  readonly depth: number;
  readonly colourType: number;
  readonly interlace?: number;
  readonly rows: readonly (readonly number[])[];
  readonly more?: Readonly<Record<string, readonly number[]>>;
}

/** Of rows as they are written, filters first. */
function rawPng({ size: [width, height], depth, colourType, interlace = 0, rows, more = {} }: Png): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, colourType, 0, 0, interlace], 8);
  const parts = Object.entries({ IHDR: [...header], ...more, IDAT: [...deflateSync(Uint8Array.from(rows.flat()))] });
  return Buffer.concat([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    ...parts.map(([type, bytes]) => chunkOf(type, bytes)),
  ]);
}

function chunkOf(type: string, bytes: readonly number[]): Uint8Array {
  const typed = Buffer.concat([Buffer.from(type, "latin1"), Uint8Array.from(bytes)]);
  const framed = Buffer.alloc(typed.byteLength + 8);
  framed.writeUInt32BE(bytes.length, 0);
  framed.set(typed, 4);
  framed.writeUInt32BE(crc32(typed), typed.byteLength + 4);
  return framed;
}

/** What they are, and the pixels of their largest size. */
const PNGS: Readonly<Record<string, readonly [Png, readonly number[]]>> = {
  "1 bit of grey": [
    { size: [3, 1], depth: 1, colourType: 0, rows: [[0, 0b1010_0000]] },
    [255, 255, 255, 255, 0, 0, 0, 255, 255, 255, 255, 255],
  ],
  "2 bits of grey": [
    { size: [2, 1], depth: 2, colourType: 0, rows: [[0, 0b0110_0000]] },
    [85, 85, 85, 255, 170, 170, 170, 255],
  ],
  "16 bits of grey with alpha": [
    { size: [1, 1], depth: 16, colourType: 4, rows: [[0, 7, 99, 200, 1]] },
    [7, 7, 7, 200],
  ],
  "16 bits of colour": [{ size: [1, 1], depth: 16, colourType: 2, rows: [[0, 1, 9, 2, 9, 3, 9]] }, [1, 2, 3, 255]],
  "8 bits of colour with alpha, from the pixel to the left": [
    { size: [2, 1], depth: 8, colourType: 6, rows: [[1, 1, 2, 3, 4, 1, 1, 1, 1]] },
    [1, 2, 3, 4, 2, 3, 4, 5],
  ],
  "a palette with transparency": [
    { size: [2, 1], depth: 4, colourType: 3, rows: [[0, 0x10]], more: { PLTE: [9, 8, 7, 1, 2, 3], tRNS: [50] } },
    [1, 2, 3, 255, 9, 8, 7, 50],
  ],
  "a colour that stands for nothing": [
    { size: [2, 1], depth: 8, colourType: 2, rows: [[0, 1, 2, 3, 4, 5, 6]], more: { tRNS: [0, 4, 0, 5, 0, 6] } },
    [1, 2, 3, 255, 4, 5, 6, 0],
  ],
  "rows with each filter": [
    {
      size: [2, 5],
      depth: 8,
      colourType: 0,
      rows: [
        [0, 10, 20],
        [1, 5, 5],
        [2, 1, 1],
        [3, 2, 2],
        [4, 1, 2],
      ],
    },
    [10, 20, 5, 10, 6, 11, 5, 10, 6, 12].flatMap((grey) => [grey, grey, grey, 255]),
  ],
  "interlaced rows": [
    {
      size: [3, 3],
      depth: 8,
      colourType: 0,
      interlace: 1,
      // Five of the seven passes have pixels, the sixth in two rows.
      rows: [
        [0, 1],
        [0, 3],
        [0, 7, 9],
        [0, 2],
        [0, 8],
        [0, 4, 5, 6],
      ],
    },
    [1, 2, 3, 4, 5, 6, 7, 8, 9].flatMap((grey) => [grey, grey, grey, 255]),
  ],
};

t.test("PNG of every kind gives the pixels that were written", async (t) => {
  for (const [name, [png, expected]] of Object.entries(PNGS)) {
    const [largest] = await decode(rawPng(png));
    t.same([...(largest?.pixels ?? [])], expected, name);
  }
});

t.test("each smaller size is half of the one before, and has its mean", async (t) => {
  const levels = await decode(
    pngOf({ widthPixels: 4, heightPixels: 2, colourAt: (x) => (x < 2 ? [200, 0, 0] : [0, 100, 0]) }),
  );
  t.same(
    levels.map(({ widthPixels, heightPixels }) => [widthPixels, heightPixels]),
    [
      [4, 2],
      [2, 1],
      [1, 1],
    ],
  );
  t.same([...(levels[2]?.pixels ?? [])], [100, 50, 0, 255]);
});

async function jpegOf(widthPixels: number, heightPixels: number): Promise<Uint8Array> {
  await init({
    wasmBinary: await readFile(fileURLToPath(import.meta.resolve("@jsquash/jpeg/codec/enc/mozjpeg_enc.wasm"))),
  });
  const data = new Uint8ClampedArray(widthPixels * heightPixels * 4).fill(255);
  for (let at = 0; at < data.length; at += 4) data.set([200, 60, 20], at);
  return new Uint8Array(
    await encodeJpeg({ data, width: widthPixels, height: heightPixels, colorSpace: "srgb" }, { quality: 90 }),
  );
}

t.test("JPEG gives its picture; of one that is cut off or damaged there is a picture or a failure", async (t) => {
  const jpeg = await jpegOf(24, 16);
  const [largest] = await decode(jpeg);
  t.match(largest, { widthPixels: 24, heightPixels: 16 });
  const [red = 0, green = 0, blue = 0, alpha = 0] = largest?.pixels ?? [];
  t.ok(
    Math.abs(red - 200) < 8 && Math.abs(green - 60) < 8 && Math.abs(blue - 20) < 8 && alpha === 255,
    `${[red, green, blue]}`,
  );
  const change = fc.record({ at: fc.nat(jpeg.byteLength - 1), byte: fc.nat(255) });
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 4 }), fc.nat(jpeg.byteLength), async (changes, cut) => {
      const bytes = Uint8Array.from(jpeg);
      for (const { at, byte } of changes) bytes[at] = byte;
      await messageOf(bytes.subarray(0, cut));
    }),
    { numRuns: 60 },
  );
});

t.test("what is no image, or too large, is refused before it is decoded", async (t) => {
  const header = (width: number, height: number): Png => ({
    size: [width, height],
    depth: 8,
    colourType: 0,
    rows: [[0, 0]],
  });
  t.match(await messageOf(Uint8Array.of(1, 2, 3)), /images\[0\] must be a PNG or JPEG image/);
  t.match(await messageOf(rawPng(header(100_000, 1))), /must have 1\.\.4096 pixels a side, got 100000×1/);
  t.match(await messageOf(rawPng(header(0, 1))), /must have 1\.\.4096 pixels a side/);
  t.match(await messageOf(rawPng(header(4, 4))), /must have 20 bytes of rows, got 2/);
  t.match(await messageOf(rawPng({ ...header(1, 1), rows: [Array(9999).fill(0)] })), /can be inflated to its size/);
  t.match(await messageOf(rawPng({ ...header(1, 1), depth: 3 })), /must be a PNG of a known kind/);
  t.match(await messageOf(rawPng({ ...header(1, 1), rows: [[9, 0]] })), /must have row filters of 0\.\.4, got 9/);
  const damaged = rawPng(header(1, 1));
  damaged[damaged.byteLength - 1] = (damaged.at(-1) ?? 0) ^ 1;
  t.match(await messageOf(damaged), /the chunk at \d+ is damaged/);
  const scans = Buffer.concat([await jpegOf(8, 8), ...Array<Uint8Array>(40).fill(Uint8Array.of(0xff, 0xda))]);
  t.match(await messageOf(scans), /must have at most 32 scans, got \d+/);
});
