/** An emulated headset in a real browser whose pictures are held back: its controller and its hand move all the same. */
import { mkdir, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import Type from "typebox";
import { Value } from "typebox/value";
import { bundleClient } from "#client/bundle.ts";
import { createAgentStarter, startAgent } from "../browser/agents.ts";
import { openPageWorld } from "../browser/page-world.ts";

const WAIT_MS_MAX = 30_000;
const SCREENSHOTS = join(import.meta.dirname, "../../reports/browser");
const IWER = fileURLToPath(new URL("../build/iwer.min.js", import.meta.resolve("iwer")));
/**
 * Before the page's own scripts: an emulated headset, and a decoder that keeps its pictures while it is told to.
 * `drawnWith` gives both eyes as they were drawn in a frame, and where in them the controller or the hand is in that
 * frame; eyes' rows are from the bottom.
 */
const WATCHED = `
  window.headset = new IWER.XRDevice(IWER.metaQuest3, { stereoEnabled: true });
  window.headset.installRuntime({ forceInstall: true });
  const Decoder = VideoDecoder;
  window.VideoDecoder = class extends Decoder {
    constructor({ output, error }) {
      super({ error, output: (picture) => (window.isHeldBack ? picture.close() : output(picture)) });
    }
  };
  window.drawn = (isHand) => new Promise((resolve) => {
    const session = headset.activeSession;
    const read = async () => {
      const space = await session.requestReferenceSpace("local-floor");
      session.requestAnimationFrame((_time, frame) => {
        const gl = document.querySelector("#view").getContext("webgl2");
        const source = session.inputSources.find((one) => one.handedness === "right" && (one.hand != null) === isHand);
        const pose = isHand
          ? frame.getJointPose(source?.hand.get("middle-finger-phalanx-proximal"), space)
          : source && frame.getPose(source.gripSpace, space);
        if (pose == null) return void read();
        const { position } = pose.transform;
        const rgba = new Uint8Array(gl.drawingBufferWidth * gl.drawingBufferHeight * 4);
        gl.readPixels(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
        const expected = frame.getViewerPose(space).views.map((view) => {
          const seen = [position.x, position.y, position.z, 1];
          const times = (m, v) => [0, 1, 2, 3].map((row) => v.reduce((sum, part, at) => sum + m[at * 4 + row] * part, 0));
          const clip = times(view.projectionMatrix, times(view.transform.inverse.matrix, seen));
          const { x, y, width, height } = session.renderState.baseLayer.getViewport(view);
          return { x: x + (clip[0] / clip[3] + 1) / 2 * width, y: y + (clip[1] / clip[3] + 1) / 2 * height };
        });
        resolve({ rgba, width: gl.drawingBufferWidth, expected });
      });
    };
    read();
  });
  /** The sky is the local scene's dark one, and the same in the next frame: behind a picture that fades nothing stands still. */
  window.isFaded = async () => {
    const [before, { rgba, width }] = [await drawn(false), await drawn(false)];
    return rgba[rgba.length - width * 4 + 2] < 80 && rgba.every((value, at) => value === before.rgba[at]);
  };
  /** Where each eye is drawn otherwise in the second drawing, and is not in the first. */
  window.moved = (first, second) => [0, 1].map((eye) => {
    const { width } = first;
    const sum = { count: 0, x: 0, y: 0 };
    for (let at = 0; at < first.rgba.length; at += 4) {
      const [x, y] = [(at / 4) % width, Math.floor(at / 4 / width)];
      if (Math.floor(x / (width / 2)) !== eye) continue;
      if (Math.hypot(x - first.expected[eye].x, y - first.expected[eye].y) < Math.hypot(x - second.expected[eye].x, y - second.expected[eye].y)) continue;
      if ([0, 1, 2].every((part) => Math.abs(first.rgba[at + part] - second.rgba[at + part]) < 12)) continue;
      sum.count += 1;
      sum.x += x + 0.5;
      sum.y += y + 0.5;
    }
    const [x, y] = [sum.x / sum.count - second.expected[eye].x, sum.y / sum.count - second.expected[eye].y];
    return { count: sum.count, off: Math.hypot(x, y) / (first.rgba.length / 4 / width) };
  });`;

const folder = await mkdtemp(join(tmpdir(), "perigee-hands-"));
await bundleClient(folder);
const agent = await startAgent("agent-1", await createAgentStarter());
const { services, page, errors } = await openPageWorld(t, {
  ...{ folder, webrtc: [agent], height: 420, waitMs: WAIT_MS_MAX },
});
await page.addInitScript({ path: IWER });
await page.addInitScript(WATCHED);
await page.goto(services.pageUrl);
await page.waitForFunction("window.perigee?.framesDecoded() > 5");

const seenSchema = Type.Array(Type.Object({ count: Type.Integer(), off: Type.Number() }));
const place = (x: number, y: number) =>
  `(headset.controllers.right.position.set(${x}, ${y}, -0.5), headset.controllers.right.quaternion.set(0, 0, 0, 1))`;
const handAt = (x: number, y: number) =>
  `(headset.hands.right.position.set(${x}, ${y}, -0.5), headset.hands.right.quaternion.set(0, 0, 0, 1))`;
/** Of an eye's height: about half a hand. */
const OFF_RATIO_MAX = 0.04;

/** Moved from one place to another while no picture comes. */
async function moveFrom(first: string, second: string, isHand: boolean) {
  const script = `(async () => {
    ${first};
    const before = await drawn(${isHand});
    ${second};
    return moved(before, await drawn(${isHand}));
  })()`;
  return Value.Parse(seenSchema, await page.evaluate(script));
}

t.test("while pictures are held back, the controller is where the display's own frame has it", async (t) => {
  await page.click("#headset");
  await page.evaluate("headset.position.set(0, 1.6, 0)");
  await page.waitForFunction("perigee.statistics().framesDrawnInHeadset > 3");
  await page.evaluate("window.isHeldBack = true");
  const before = Number(await page.evaluate("perigee.lastPoseId()"));
  const drawn = Number(await page.evaluate("perigee.statistics().framesDrawnInHeadset"));
  await page.evaluate("(async () => { while (!(await isFaded())); })()");
  for (const [x, y] of [
    [-0.1, 1.5],
    [0.15, 1.75],
  ] as const) {
    const seen = await moveFrom(place(0.05, 1.6), place(x, y), false);
    for (const [eye, { count, off }] of seen.entries()) {
      t.ok(count >= 8 && off < OFF_RATIO_MAX, `eye ${eye} at ${x}, ${y}: ${count} pixels, ${off} of the height off`);
    }
  }
  t.equal(await page.evaluate("perigee.lastPoseId()"), before, "of one picture");
  t.ok(Number(await page.evaluate("perigee.statistics().framesDrawnInHeadset")) > drawn);
});

t.test("a tracked hand is drawn the same way", async (t) => {
  await page.evaluate(`headset.primaryInputMode = "hand"`);
  const before = Number(await page.evaluate("perigee.lastPoseId()"));
  const seen = await moveFrom(handAt(0.02, 1.55), handAt(-0.15, 1.5), true);
  for (const [eye, { count, off }] of seen.entries()) {
    t.ok(count >= 8 && off < OFF_RATIO_MAX, `eye ${eye}: ${count} pixels, ${off} of the height off`);
  }
  t.equal(await page.evaluate("perigee.lastPoseId()"), before);
});

t.test("pictures go on as they come, and the hand over them", async (t) => {
  await page.evaluate("window.isHeldBack = false");
  const sent = Number(await page.evaluate("perigee.posesSent()"));
  await page.waitForFunction(`perigee.lastPoseId() > ${sent}`);
  await mkdir(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, "vr-hand.png") });
  await page.evaluate(`headset.primaryInputMode = "controller"`);
  await page.evaluate(`(${place(0.05, 1.6)}, drawn(false))`);
  await page.screenshot({ path: join(SCREENSHOTS, "vr-controller.png") });
  t.same(services.faults, []);
  t.same(errors, []);
});
