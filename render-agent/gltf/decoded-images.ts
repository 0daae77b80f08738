/** The images of a scene as RGBA with their smaller sizes, by their number in the file. */
import type { EncodedImage, GltfScene } from "./gltf-scene.ts";
import { decodeJpeg } from "./jpeg.ts";
import { decodePng } from "./png.ts";

export interface Level {
  readonly widthPixels: number;
  readonly heightPixels: number;
  readonly pixels: Uint8Array<ArrayBuffer>;
}

/** Largest first, each half of the one before, down to one pixel. */
export type DecodedImages = ReadonlyMap<number, readonly Level[]>;

/** One after the other. Throws `scene-invalid`. */
export async function decodeImages({ images }: Pick<GltfScene, "images">): Promise<DecodedImages> {
  const decoded = new Map<number, readonly Level[]>();
  for (const [index, image] of images) decoded.set(index, levelsOf(image, await decodeImage(image)));
  return decoded;
}

async function decodeImage(image: EncodedImage): Promise<Uint8Array<ArrayBuffer>> {
  return image.kind === "png" ? decodePng(image) : await decodeJpeg(image);
}

function levelsOf({ widthPixels, heightPixels }: EncodedImage, pixels: Uint8Array<ArrayBuffer>): readonly Level[] {
  const levels = [{ widthPixels, heightPixels, pixels }];
  for (let level = levels[0]; level !== undefined && Math.max(level.widthPixels, level.heightPixels) > 1; ) {
    level = halved(level);
    levels.push(level);
  }
  return levels;
}

/** The mean of each four as they are written; of an odd side the last row or column is left out. */
function halved({ widthPixels, heightPixels, pixels }: Level): Level {
  const [width, height] = [Math.max(1, widthPixels >> 1), Math.max(1, heightPixels >> 1)];
  const half = new Uint8Array(width * height * 4);
  const right = widthPixels > 1 ? 4 : 0;
  const below = heightPixels > 1 ? widthPixels * 4 : 0;
  const at = (place: number): number => pixels[place] ?? 0;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const from = (y * 2 * widthPixels + x * 2) * 4;
      const to = (y * width + x) * 4;
      for (let part = from; part < from + 4; part += 1) {
        half[to + part - from] = (at(part) + at(part + right) + at(part + below) + at(part + right + below) + 2) >> 2;
      }
    }
  }
  return { widthPixels: width, heightPixels: height, pixels: half };
}
