/** A real session's pictures are foveated from the pose that asks on, and to the pose that does no longer. */
import { join } from "node:path";
import t from "tap";
import { patiently } from "#test/render-agent/patience.ts";
import { quantisersOf } from "#test/render-agent/quantisers.ts";
import { startSession } from "#test/render-agent/started-session.ts";
import { offerViewer, type Viewer } from "#test/render-agent/viewer.ts";

const sceneFile = join(import.meta.dirname, "../../deploy/one-machine/sample/scene/hall.json");
const renderClass = { name: "tiny", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 30 };
/** Of an eye of that size. */
const MACROBLOCKS = 6;
const KEY_FRAMES = 3;
/** x264's own adaptive quantisation, which regions need, moves none by more. */
const ALIKE_STEPS_MAX = 1;
/** Beyond the second ring a picture has 8 more, and a quantiser ends at 51. */
const COARSER_STEPS_MIN = 4;

/** Of poses after one. */
async function keyFramesAfter({ received, say }: Viewer, poseId: number) {
  let asked = -1;
  const keys = () => received.frames.filter(({ header }) => header.key && header.poseId > poseId);
  await patiently(() => {
    if (asked < keys().length) say({ type: "keyframe-request" });
    asked = keys().length;
    return asked >= KEY_FRAMES;
  }, "key frames");
}

/** By how many steps each eye's border is coarser than its middle, in the row through it. */
function borderSteps(keyFrame: Uint8Array): readonly number[] {
  const row = quantisersOf(keyFrame)[MACROBLOCKS / 2] ?? [];
  return [0, MACROBLOCKS].flatMap((eye) => {
    const [first = 0, , middle = 0, , , last = 0] = row.slice(eye, eye + MACROBLOCKS);
    return [first - middle, last - middle];
  });
}

t.test("pictures are coarse beside where eyes look while poses ask for it, and no longer", async (t) => {
  const session = await startSession(t, { encoder: "libx264" });
  await session.setUp({ renderClass, detail: 1, sceneFile, media: { bindAddress: "127.0.0.1", port: 0 } });
  await using viewer = await offerViewer();
  viewer.answer(await session.accept(viewer.offerSdp));
  const { frames } = viewer.received;
  await patiently(() => frames.length > 0, "frames");
  await keyFramesAfter(viewer, 0);
  const evenTo = viewer.askFoveation(true);
  await keyFramesAfter(viewer, evenTo);
  const foveatedTo = viewer.askFoveation(false);
  await keyFramesAfter(viewer, foveatedTo);
  for (const { header, accessUnit } of frames) {
    if (!header.key) continue;
    const steps = borderSteps(accessUnit);
    const isAsked = header.poseId > evenTo && header.poseId <= foveatedTo;
    const says = `pose ${header.poseId}, asked from ${evenTo + 1} to ${foveatedTo}: ${steps}`;
    if (isAsked) t.ok(Math.min(...steps) >= COARSER_STEPS_MIN, says);
    else t.ok(Math.max(...steps.map(Math.abs)) <= ALIKE_STEPS_MAX, says);
  }
});
