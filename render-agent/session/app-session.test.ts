/** Sessions whose bundle has an app, in real processes: what it moves is seen to move, and its faults end it alone. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import type { ControlMessage } from "#contracts/media/control.ts";
import type { Frame } from "#contracts/media/frame.ts";
import { systemClock } from "#platform/clock.ts";
import type { AppLine } from "#render-agent/apps/app-messages.ts";
import { type GreyPicture, openH264Decoder } from "#test/render-agent/h264-decoder.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { startSession } from "#test/render-agent/started-session.ts";
import { offerViewer, type Viewer } from "#test/render-agent/viewer.ts";
import { testFolder } from "#test/test-folder.ts";

const EYE_PIXELS = 96;

/** A white box a metre wide on black, straight ahead. */
const SCENE = {
  format: "perigee-scene/1",
  sky: [0, 0, 0],
  sun: { towards: [0, 1, 0], colour: [0, 0, 0] },
  ambient: { above: [1, 1, 1], below: [1, 1, 1] },
  fogPerMetre: 0,
  meshes: { box: { shape: "box" } },
  instances: [
    { mesh: "box", name: "wall", position: [0, 1.6, -3], scale: [0.5, 0.5, 0.5], colour: [1, 1, 1], glowRatio: 1 },
  ],
};
/** The right hand carries it, and hides it where it squeezes. */
const APP = `let scene;
export function init(given) {
  scene = given;
  console.log("set up", scene.names);
}
export function update(pose, { controllers }) {
  const at = scene.objects.wall * scene.stride;
  const [hand] = controllers;
  if (hand === undefined) return;
  scene.transforms[at] = hand.position.x;
  scene.transforms[at + 10] = hand.squeeze < 0.5 ? 1 : 0;
}`;

/** A session reads its files before it is set up. */
function setupOf(folder: string, app: string) {
  const [sceneFile, appFile] = [join(folder, "scene.json"), join(folder, "app.js")];
  writeFileSync(sceneFile, JSON.stringify(SCENE));
  writeFileSync(appFile, app);
  const renderClass = { name: "tiny", eyeWidthPixels: EYE_PIXELS, eyeHeightPixels: EYE_PIXELS, frameRateHz: 30 };
  return { renderClass, detail: 1, sceneFile, appFile, media: { bindAddress: "127.0.0.1", port: 0 } };
}

function controllerAt(x: number, squeeze = 0) {
  const turned = { orientation: { x: 0, y: 0, z: 0, w: 1 }, trigger: 0, squeeze, thumbstick: { x: 0, y: 0 } };
  return { hand: "right", position: { x, y: 1.6, z: -3 }, ...turned } as const;
}

/** The first key frame of a pose after `poseId`. */
async function seeAfter(viewer: Viewer, poseId: number): Promise<GreyPicture> {
  const find = () => viewer.received.frames.find(({ header }) => header.key && header.poseId > poseId);
  await patiently(() => viewer.received.frames.some(({ header }) => header.poseId > poseId), "a frame");
  viewer.say({ type: "keyframe-request" });
  await patiently(() => find() !== undefined, "a key frame");
  using decoder = openH264Decoder();
  return decoder.decode(find()?.accessUnit ?? new Uint8Array());
}

/** How bright the left eye's left and right thirds are, 0 to 255. */
function thirdsOf({ luma, widthPixels }: GreyPicture): { readonly left: number; readonly right: number } {
  const sums = { left: 0, right: 0 };
  for (const [at, value] of luma.entries()) {
    const x = at % widthPixels;
    if (x < EYE_PIXELS / 3) sums.left += value;
    else if (x >= (EYE_PIXELS * 2) / 3 && x < EYE_PIXELS) sums.right += value;
  }
  const pixels = luma.length / 6;
  return { left: sums.left / pixels, right: sums.right / pixels };
}

t.test("what the app moves by a controller is seen where it is now, and not where it was", async (t) => {
  const session = await startSession(t);
  const lines: AppLine[] = [];
  session.onAppLine((line) => void lines.push(line));
  await session.setUp(setupOf(testFolder(t), APP));
  await patiently(() => lines.length > 0, "a line of the app's console");
  t.same(lines, [{ level: "info", text: 'set up ["wall"]' }]);
  await using viewer = await offerViewer();
  viewer.answer(await session.accept(viewer.offerSdp));
  // An app that is late once draws a frame with the state before: the second frame of a hold has it surely.
  const seeHeld = (x: number, squeeze = 0) =>
    seeAfter(viewer, viewer.hold([controllerAt(x, squeeze)]) + 3).then(thirdsOf);
  const left = await seeHeld(-2);
  t.ok(left.left > left.right + 20, `on the left: ${JSON.stringify(left)}`);
  const right = await seeHeld(2);
  t.ok(right.right > right.left + 20, `on the right: ${JSON.stringify(right)}`);
  const hidden = await seeHeld(2, 1);
  t.ok(Math.abs(hidden.right - hidden.left) < 2, `hidden: ${JSON.stringify(hidden)}`);
});

/** Held ahead of the hand while its trigger is pulled, and nowhere else than where it stands then when it is let go. */
const HOLDING = APP.replace(
  "scene.transforms[at] = hand.position.x;",
  `scene.transforms[at] = hand.position.x;
  scene.hold("right", hand.trigger > 0.5 ? "wall" : null);`,
);

t.test("a held object is in each picture that does not say it is without it, and in no other", async (t) => {
  const session = await startSession(t);
  await session.setUp(setupOf(testFolder(t), HOLDING));
  await using viewer = await offerViewer();
  viewer.answer(await session.accept(viewer.offerSdp));
  await patiently(() => viewer.received.frames.length > 0, "a frame");
  const told = () =>
    viewer.received.control.find((message): message is ControlMessage & { type: "held-object" } => {
      return message.type === "held-object";
    });
  const isWithout = ({ header }: Frame): boolean => header.without !== undefined;
  // Each frame by itself: all are key frames here, since each one is asked for before the next.
  const asking = systemClock.every(20, () => viewer.say({ type: "keyframe-request" }));
  t.teardown(() => asking[Symbol.dispose]());
  viewer.say({ type: "held-wish" });
  viewer.hold([{ ...controllerAt(2), trigger: 1 }]);
  await patiently(() => told() !== undefined, "what is held");
  const { hold = 0, position } = told() ?? {};
  t.match({ hold, position }, { hold: 1, position: { x: 0, y: 0, z: 0 } });
  t.notOk(viewer.received.frames.some(isWithout), "nothing is left out before the client has it");
  viewer.say({ type: "held-ready", hand: "right", hold });
  await patiently(() => viewer.received.frames.filter(isWithout).length > 3, "frames without it");
  const letGoAt = viewer.hold([controllerAt(2)]);
  const isLater = ({ header }: Frame): boolean => header.poseId > letGoAt + 3;
  await patiently(() => viewer.received.frames.filter(isLater).length > 3, "frames of an empty hand");
  const seen = viewer.received.frames.filter(({ header }) => header.key);
  t.ok(seen.filter(isWithout).length > 0 && seen.filter(isLater).length > 0, `of ${seen.length} key frames`);
  t.notOk(seen.filter(isLater).some(isWithout), "let go, pictures are whole");
  let wasHeld = false;
  for (const frame of seen) {
    using decoder = openH264Decoder();
    const { left, right } = thirdsOf(decoder.decode(frame.accessUnit));
    const number = frame.header.frameNumber;
    if (isWithout(frame)) {
      t.same(frame.header.without, [0, hold], `frame ${number}`);
      t.ok(Math.abs(right - left) < 2, `frame ${number} is without it: ${left}, ${right}`);
    } else if (wasHeld) t.ok(right > left + 20, `frame ${number} has it again: ${left}, ${right}`);
    wasHeld ||= isWithout(frame);
  }
});

t.test("an app that fails ends its own session by name, and no other", async (t) => {
  const [failing, other] = await Promise.all([startSession(t), startSession(t)]);
  const bad = APP.replace("if (hand", "if (controllers.length > 1)\n    for (;;) {}\n  if (hand");
  const folder = testFolder(t);
  await failing.setUp(setupOf(folder, bad));
  await other.setUp(setupOf(folder, APP));
  await using viewer = await offerViewer();
  await using second = await offerViewer();
  viewer.answer(await failing.accept(viewer.offerSdp));
  second.answer(await other.accept(second.offerSdp));
  await patiently(() => viewer.received.frames.length > 0 && second.received.frames.length > 0, "frames of both");
  viewer.hold([controllerAt(0), { ...controllerAt(0), hand: "left" }]);
  t.match(await failing.ended, /^app-failed: app\.js:\d+:\d+: update did not finish within 250 ms$/);
  const farewell = () => viewer.received.control.find(({ type }) => type === "session-end");
  await patiently(() => farewell() !== undefined, "the client is told");
  t.match(farewell(), { reason: /^app-failed: app\.js:/ });
  const seen = second.received.frames.length;
  await patiently(() => second.received.frames.length > seen + 3, "the other's frames go on");
});

t.test("an app that is none is refused by name, and one that fails in its first frames too", async (t) => {
  const first = await startSession(t);
  await t.rejects(first.setUp(setupOf(testFolder(t), "export function init( {}")), {
    code: "app-invalid",
    message: /^app\.js:1:/,
  });
  const second = await startSession(t);
  const bad = "export function init() {}\nexport function update() { missing() }";
  await t.rejects(second.setUp(setupOf(testFolder(t), bad)), {
    code: "app-failed",
    message: /^app\.js:2:.*ReferenceError/,
  });
});
