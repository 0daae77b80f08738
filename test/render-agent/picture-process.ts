/** Draws a scene's file from where it is told, in a process of its own, whose environment names the driver. */
import { readFile } from "node:fs/promises";
import { decodeImages } from "#render-agent/gltf/decoded-images.ts";
import { openGpu } from "#render-agent/renderer/gpu.ts";
import { StereoRenderer } from "#render-agent/renderer/stereo-renderer.ts";
import { readSceneFile } from "#render-agent/scenes/scene-file.ts";
import { EYE_PIXELS, type PictureRequest, poseOf } from "./pictures.ts";

async function draw({ sceneFile, views }: PictureRequest): Promise<Uint8Array[]> {
  const { scene, gltf } = readSceneFile(await readFile(sceneFile));
  const gpu = await openGpu();
  const renderer = new StereoRenderer({
    device: gpu.device,
    scene,
    gltf: gltf && { scene: gltf, images: await decodeImages(gltf) },
    detail: 1,
    eyeWidthPixels: EYE_PIXELS,
    eyeHeightPixels: EYE_PIXELS,
  });
  const pictures: Uint8Array[] = [];
  for (const view of views) {
    using picture = await renderer.render(poseOf(view), view.seconds ?? 0);
    pictures.push(Uint8Array.from(picture.pixels));
  }
  return pictures;
}

process.on("message", (request: PictureRequest) => {
  draw(request).then(
    // By signal: the native libraries' threads are not stopped one by one.
    (pictures) => process.send?.({ pictures }, undefined, undefined, () => process.kill(process.pid, "SIGKILL")),
    (error: unknown) => process.send?.({ failed: String(error) }, undefined, undefined, () => process.exit(1)),
  );
});
