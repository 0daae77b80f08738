/** A picture reprojected by the client's formula on the CPU. Pure. */
import {
  depthLookupOf,
  type EyeView,
  eyeViewOf,
  findSource,
  type InverseDepthAt,
} from "#client/display/reprojection.ts";
import { depthShapeOf, type EyeSize } from "#contracts/media/depth-shape.ts";
import type { PoseMessage } from "#contracts/media/pose.ts";

export interface SidePicture extends EyeSize {
  /** RGBA rows, both eyes side by side. */
  readonly pixels: Uint8Array;
  readonly pose: PoseMessage;
  /** Without it only the turn is followed. */
  readonly depth?: Uint8Array;
}

/** Both eyes side by side, as the display shows the picture to a head at `shown`. */
export function reproject(picture: SidePicture, shown: Pick<PoseMessage, "position" | "orientation" | "eyes">) {
  const { eyeWidthPixels: width, eyeHeightPixels: height, pose, depth } = picture;
  const pixels = new Uint8Array(picture.pixels.length);
  for (const eye of [0, 1] as const) {
    const [source, current] = [eyeViewOf(pose, pose.eyes[eye]), eyeViewOf(shown, shown.eyes[eye])];
    const look = depth === undefined ? undefined : depthLookupOf(depth, depthShapeOf(picture), picture, eye);
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        const found = sourceOf((x + 0.5) / width, (y + 0.5) / height, { source, current, look });
        const at = (y * 2 * width + eye * width + x) * 4;
        for (let channel = 0; channel < 3; channel += 1) {
          pixels[at + channel] = Math.round(sample(picture, eye, found, channel));
        }
        pixels[at + 3] = 255;
      }
    }
  }
  return pixels;
}

interface Views {
  readonly source: EyeView;
  readonly current: EyeView;
  readonly look: InverseDepthAt | undefined;
}

function sourceOf(x: number, y: number, { source, current, look }: Views): { x: number; y: number } {
  const found = findSource({ x, y }, source, current, look);
  if (found === undefined) throw new Error("nothing was rendered there");
  return found;
}

/** Between texels' middles linearly; beyond the border the border. */
function sample(picture: SidePicture, eye: 0 | 1, { x, y }: { x: number; y: number }, channel: number): number {
  const { eyeWidthPixels: width, eyeHeightPixels: height, pixels } = picture;
  const u = Math.min(Math.max(x * width - 0.5, 0), width - 1);
  const v = Math.min(Math.max(y * height - 0.5, 0), height - 1);
  const [left, top] = [Math.min(Math.floor(u), width - 2), Math.min(Math.floor(v), height - 2)];
  const at = (column: number, row: number): number =>
    pixels[(row * 2 * width + eye * width + column) * 4 + channel] ?? 0;
  const upper = at(left, top) * (1 - u + left) + at(left + 1, top) * (u - left);
  const lower = at(left, top + 1) * (1 - u + left) + at(left + 1, top + 1) * (u - left);
  return upper * (1 - v + top) + lower * (v - top);
}
