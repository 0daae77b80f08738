/** Draws the poses it is told over IPC with the agent's own renderer and encoder, and tells what came of each. */
import { decodePose } from "#contracts/media/pose.ts";
import { fullBitRateOf } from "#render-agent/encoder/encoder.ts";
import { openVideoEncoder } from "#render-agent/encoder/video-encoder.ts";
import { openGpu } from "#render-agent/renderer/gpu.ts";
import { parseScene } from "#render-agent/renderer/scene.ts";
import { StereoRenderer } from "#render-agent/renderer/stereo-renderer.ts";
import type { RenderedView, RenderOrder } from "./rendered-views.ts";

/** Referred to as long as the process lives: Dawn stops without it. */
const gpu = await openGpu();

process.once("message", (order: RenderOrder) => {
  draw(order).then(
    (views) => process.send?.(views),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});

async function draw({ scene, poses, frameRateHz, ...eye }: RenderOrder): Promise<RenderedView[]> {
  const renderer = new StereoRenderer({ device: gpu.device, scene: parseScene(scene), detail: 1, ...eye });
  const stream = { widthPixels: eye.eyeWidthPixels * 2, heightPixels: eye.eyeHeightPixels, frameRateHz };
  using encoder = await openVideoEncoder("libx264", { ...stream, bitsPerSecond: fullBitRateOf(stream, "h264") });
  const views: RenderedView[] = [];
  for (const bytes of poses) {
    using frame = await renderer.render(decodePose(bytes), 0);
    const { depth = new Uint8Array() } = frame;
    const accessUnit = encoder.encode(frame.pixels, false).bytes;
    views.push({ pixels: frame.pixels.slice(), depth: depth.slice(), accessUnit });
  }
  return views;
}
