/** Writes a PNG of RGB with 8 bits a sample. */
import { crc32, deflateSync } from "node:zlib";

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const [DEPTH, RGB] = [8, 2];

export interface Picture {
  readonly widthPixels: number;
  readonly heightPixels: number;
  readonly colourAt: (x: number, y: number) => readonly [red: number, green: number, blue: number];
}

export function pngOf({ widthPixels, heightPixels, colourAt }: Picture): Uint8Array {
  const rows: number[] = [];
  for (let y = 0; y < heightPixels; y += 1) {
    rows.push(0);
    for (let x = 0; x < widthPixels; x += 1) rows.push(...colourAt(x, y));
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(widthPixels, 0);
  header.writeUInt32BE(heightPixels, 4);
  header.set([DEPTH, RGB], 8);
  const data = deflateSync(Uint8Array.from(rows), { level: 9 });
  return Buffer.concat([SIGNATURE, chunk("IHDR", header), chunk("IDAT", data), chunk("IEND", new Uint8Array())]);
}

function chunk(type: string, bytes: Uint8Array): Uint8Array {
  const typed = Buffer.concat([Buffer.from(type, "latin1"), bytes]);
  const framed = Buffer.alloc(typed.byteLength + 8);
  framed.writeUInt32BE(bytes.byteLength, 0);
  framed.set(typed, 4);
  framed.writeUInt32BE(crc32(typed), typed.byteLength + 4);
  return framed;
}
