/** Renders the scene where a head was, in a process whose environment names the GPU driver; its parent asks over IPC. */
import { openGpu } from "#render-agent/renderer/gpu.ts";
import { StereoRenderer } from "#render-agent/renderer/stereo-renderer.ts";
import { makeScene } from "./scene.ts";
import { type FromTruth, isTruthWish, poseAt, type TruthWish } from "./truth.ts";

const gpu = await openGpu();

async function render({ heads, detail, eyeWidthPixels, eyeHeightPixels }: TruthWish): Promise<readonly Uint8Array[]> {
  using renderer = new StereoRenderer({
    ...{ device: gpu.device, scene: makeScene(), detail, eyeWidthPixels, eyeHeightPixels },
  });
  const pictures: Uint8Array[] = [];
  for (const head of heads) {
    using picture = await renderer.render(poseAt(head, eyeWidthPixels / eyeHeightPixels), 0);
    pictures.push(leftEye(picture.pixels, eyeWidthPixels, eyeHeightPixels));
  }
  return pictures;
}

function leftEye(pixels: Uint8Array, width: number, height: number): Uint8Array {
  const eye = new Uint8Array(width * height * 4);
  for (let row = 0; row < height; row += 1) {
    const start = row * width * 8;
    eye.set(pixels.subarray(start, start + width * 4), row * width * 4);
  }
  return eye;
}

function tell(message: FromTruth): void {
  process.send?.(message);
}

process.on("message", (message: unknown) => {
  if (!isTruthWish(message)) return;
  render(message).then(
    (pictures) => tell({ kind: "rendered", pictures }),
    (error: unknown) => tell({ kind: "failed", message: String(error) }),
  );
});
// Dawn's threads are not stopped one by one, which is not always survived.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
tell({ kind: "open", adapterName: gpu.adapterName, isSoftware: gpu.software });
