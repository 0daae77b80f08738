/** Pictures of a scene as the renderer draws them on this machine's Vulkan, for tests that look at pixels. */
import { fork } from "node:child_process";
import { join } from "node:path";
import type { PoseMessage } from "#contracts/media/pose.ts";
import { findVulkan, prepareVulkan } from "#render-agent/renderer/software-vulkan.ts";

export const EYE_PIXELS = 96;
const DRAW_MS_MAX = 60_000;
const ROOT = join(import.meta.dirname, "../..");

export interface View {
  readonly position: readonly [x: number, y: number, z: number];
  /** To the left. */
  readonly yawDegrees?: number;
  readonly seconds?: number;
}

export interface PictureRequest {
  readonly sceneFile: string;
  readonly views: readonly View[];
}

/** Of the left eye; both see the same. */
export interface Picture {
  /** Red, green and blue, 0..255; from the left and from the top, 0..1. */
  at(right: number, down: number): readonly [red: number, green: number, blue: number];
  readonly pixels: Uint8Array;
}

/** One of each view; the field of view is 90° both ways. */
export async function drawPictures(request: PictureRequest): Promise<readonly Picture[]> {
  const [vulkan = { kind: "device" as const }] = await findVulkan();
  const environment = await prepareVulkan(vulkan, join(ROOT, ".cache/vulkan"));
  const child = fork(join(import.meta.dirname, "picture-process.ts"), {
    env: { ...environment },
    serialization: "advanced",
    timeout: DRAW_MS_MAX,
  });
  const told = Promise.withResolvers<unknown>();
  child.once("message", (message) => told.resolve(message));
  child.once("exit", (code, signal) => told.resolve({ failed: `the process ended with ${code ?? signal}` }));
  child.send(request);
  return picturesIn(await told.promise);
}

function picturesIn(message: unknown): readonly Picture[] {
  if (typeof message !== "object" || message === null || !("pictures" in message) || !Array.isArray(message.pictures)) {
    throw new Error(`no pictures: ${JSON.stringify(message)}`);
  }
  return message.pictures.map((pixels: Uint8Array) => ({ pixels, at: (right, down) => pixelAt(pixels, right, down) }));
}

function pixelAt(pixels: Uint8Array, right: number, down: number): readonly [number, number, number] {
  const [x, y] = [right, down].map((part) => Math.min(EYE_PIXELS - 1, Math.floor(part * EYE_PIXELS)));
  const start = ((y ?? 0) * EYE_PIXELS * 2 + (x ?? 0)) * 4;
  return [pixels[start] ?? 0, pixels[start + 1] ?? 0, pixels[start + 2] ?? 0];
}

export function poseOf({ position: [x, y, z], yawDegrees = 0 }: View): PoseMessage {
  const half = (yawDegrees * Math.PI) / 360;
  const eye = { offset: { x: 0, y: 0, z: 0 }, fieldOfView: { left: 1, right: 1, up: 1, down: 1 } };
  return {
    poseId: 1,
    sampledAtMs: 0,
    position: { x, y, z },
    orientation: { x: 0, y: Math.sin(half), z: 0, w: Math.cos(half) },
    eyes: [eye, eye],
  };
}
