/** Pictures and depth planes of a scene as an agent draws them, in a process of its own with this machine's Vulkan. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { encodePose, type PoseMessage } from "#contracts/media/pose.ts";
import { findVulkan, prepareVulkan } from "#render-agent/renderer/software-vulkan.ts";

const CACHE = join(import.meta.dirname, "../../.cache/vulkan");
const RENDER_MS_MAX = 60_000;

export interface RenderOrder {
  readonly scene: Uint8Array;
  readonly eyeWidthPixels: number;
  readonly eyeHeightPixels: number;
  readonly frameRateHz: number;
  readonly poses: readonly Uint8Array[];
}

export interface RenderedView {
  /** RGBA rows, both eyes side by side. */
  readonly pixels: Uint8Array;
  readonly depth: Uint8Array;
  /** Of one stream, from a key frame on. */
  readonly accessUnit: Uint8Array;
}

/** In the order of the poses. */
export async function renderViews(
  poses: readonly PoseMessage[],
  order: Omit<RenderOrder, "poses">,
): Promise<readonly RenderedView[]> {
  const [vulkan = { kind: "device" as const }] = await findVulkan();
  const child = fork(join(import.meta.dirname, "render-child.ts"), {
    env: { ...process.env, ...(await prepareVulkan(vulkan, CACHE)) },
    ...{ serialization: "advanced", timeout: RENDER_MS_MAX, killSignal: "SIGKILL" },
  });
  const ended = once(child, "exit").then(([code, signal]): never => {
    throw new Error(`no pictures: the renderer's process ended with ${code ?? signal}`);
  });
  child.send({ ...order, poses: poses.map(encodePose) });
  const [views]: readonly RenderedView[][] = await Promise.race([once(child, "message"), ended]);
  ended.catch(() => undefined);
  // Whoever stops the native libraries in order does not always survive it.
  child.kill("SIGKILL");
  return views ?? [];
}
