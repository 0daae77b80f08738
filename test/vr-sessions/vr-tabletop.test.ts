/**
 * The sample app in a real browser and a real session process: a box is grabbed by a press and by a controller, carried
 * by the display where pictures are held back, and thrown.
 */
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

const SCREENSHOTS = join(import.meta.dirname, "../../reports/browser");
const TABLETOP = join(import.meta.dirname, "../../deploy/one-machine/sample/tabletop");
const WAIT_MS_MAX = 30_000;
const IWER = fileURLToPath(new URL("../build/iwer.min.js", import.meta.resolve("iwer")));
/** A headset, a canvas that can be read between its frames, and a decoder that keeps its pictures while it is told to. */
const HEADSET = `
  const { getContext } = HTMLCanvasElement.prototype;
  HTMLCanvasElement.prototype.getContext = function (kind, options) {
    return getContext.call(this, kind, { ...options, preserveDrawingBuffer: true });
  };
  const Decoder = VideoDecoder;
  window.VideoDecoder = class extends Decoder {
    constructor({ output, error }) {
      super({ error, output: (picture) => (window.isHeldBack ? picture.close() : output(picture)) });
    }
  };
  window.readShown = () => {
    const gl = document.querySelector("#view").getContext("webgl2");
    const [width, height] = [gl.drawingBufferWidth, gl.drawingBufferHeight];
    const rows = new Uint8Array(width * height * 4);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, rows);
    return { widthPixels: width, heightPixels: height, eyes: headset.activeSession == null ? 1 : 2, rgbaAt: (x, y) => rows.subarray(((height - 1 - y) * width + x) * 4) };
  };
  window.readSent = () => {
    const { widthPixels, heightPixels, rgba } = perigee.readPicture();
    return { widthPixels, heightPixels, eyes: 2, rgbaAt: (x, y) => rgba.subarray((y * widthPixels + x) * 4) };
  };
  window.headset = new IWER.XRDevice(IWER.metaQuest3, { stereoEnabled: true });
  window.headset.installRuntime({ forceInstall: true });`;
/** In the page: where for the left eye what is purple has its middle, 0..1 from left and top, and how much it is. */
const purpleIn = (read: "readShown" | "readSent") => `(() => {
  const { widthPixels, heightPixels, eyes, rgbaAt } = ${read}();
  const eyeWidth = widthPixels / eyes;
  const sum = { count: 0, x: 0, y: 0 };
  for (let y = 0; y < heightPixels; y += 1) for (let x = 0; x < eyeWidth; x += 1) {
    const [r, g, b] = rgbaAt(x, y);
    if (!(r > 1.2 * g && b > 1.2 * g && b > 80)) continue;
    sum.count += 1;
    sum.x += x + 0.5;
    sum.y += y + 0.5;
  }
  const pixels = eyeWidth * heightPixels;
  return { share: sum.count / pixels, x: sum.x / sum.count / eyeWidth || 0, y: sum.y / sum.count / heightPixels || 0 };
})()`;
/** On the display; a picture may be without what is held. */
const PURPLE = purpleIn("readShown");
const seen = Type.Object({ share: Type.Number(), x: Type.Number(), y: Type.Number() });
/** A box 1.9 m away covers half a hundredth. */
const SEEN = 0.001;

const folder = await mkdtemp(join(tmpdir(), "perigee-vr-tabletop-"));
await bundleClient(folder);
const start = await createAgentStarter();
const agent = await startAgent("agent-1", start, {
  sceneFile: join(TABLETOP, "scene.json"),
  appFile: join(TABLETOP, "app.js"),
});
const { services, page } = await openPageWorld(t, {
  folder,
  webrtc: [agent],
  height: 720,
  waitMs: WAIT_MS_MAX,
});
await page.addInitScript({ path: IWER });
await page.addInitScript(HEADSET);
await page.goto(services.pageUrl);
await page.waitForFunction("window.perigee?.framesDecoded() > 5");

/** Does something in the page and gives what is seen once a condition on `purple` holds in a picture of a later pose. */
async function seeAfter(script: string, condition: string) {
  const from = await page.evaluate(`(${script}, perigee.posesSent())`);
  const isSo = `perigee.lastPoseId() > ${from} && ((purple) => ${condition})(${PURPLE})`;
  await page.waitForFunction(isSo).catch(async (cause: unknown) => {
    throw new Error(`${condition} did not come: ${JSON.stringify(await page.evaluate(PURPLE))}`, { cause });
  });
  return Value.Parse(seen, await page.evaluate(PURPLE));
}

const IN_THE_MIDDLE = `purple.share > ${SEEN} && Math.abs(purple.x - 0.5) < 0.1 && Math.abs(purple.y - 0.5) < 0.1`;

t.test("a box that is looked at is carried by a press, and falls when it is let go", async (t) => {
  const ahead = "perigee.setHead({ yawDegrees: 0, pitchDegrees: -4.8 })";
  t.ok(await seeAfter(ahead, IN_THE_MIDDLE), "the top box is ahead");
  const turned = "perigee.setHead({ yawDegrees: 30 })";
  t.ok(await seeAfter(turned, `purple.x < 0.3 || purple.share < ${SEEN}`), "it stays where it is when the head turns");
  t.ok(await seeAfter(ahead, IN_THE_MIDDLE));
  await page.focus("#view");
  await page.keyboard.down("Space");
  // Taken at the pose it was pressed at: the turn comes after a picture of the press.
  await seeAfter("0", IN_THE_MIDDLE);
  t.ok(await seeAfter(turned, IN_THE_MIDDLE), "held, it comes along");
  // Held still, so that it is let go and not thrown: the speed of a throw is the mean of some ticks.
  for (let picture = 0; picture < 12; picture += 1) await seeAfter("0", IN_THE_MIDDLE);
  await page.keyboard.up("Space");
  const fallen = await seeAfter("0", `purple.share > ${SEEN} && purple.y > 0.6`);
  t.ok(Math.abs(fallen.x - 0.5) < 0.2, `it fell where it was: ${JSON.stringify(fallen)}`);
});

t.test("in a headset a controller takes it by its trigger, and holds it before the eyes", async (t) => {
  await mkdir(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, "vr-tabletop.png") });
  await page.click("#headset");
  await page.waitForFunction("perigee.statistics().framesDrawnInHeadset > 5");
  const place = (x: number, y: number, z: number) =>
    `(headset.controllers.right.position.set(${x}, ${y}, ${z}), headset.controllers.right.quaternion.set(0, 0, 0, 1))`;
  await seeAfter(`(headset.position.set(0, 1.6, 0), ${place(0.95, 0.96, -1)})`, "true");
  await seeAfter(`headset.controllers.right.updateButtonValue("trigger", 1)`, "true");
  await seeAfter("0", "true");
  t.ok(await seeAfter(place(0, 1.6, -1), IN_THE_MIDDLE), "carried before the eyes");
  await page.waitForFunction(`${purpleIn("readSent")}.share === 0`);
  t.ok(await seeAfter("0", IN_THE_MIDDLE), "by the display: the agent's pictures are without it");
  await page.screenshot({ path: join(SCREENSHOTS, "vr-tabletop-held.png") });
  const moved = `(window.isHeldBack = true, ${place(-0.35, 1.5, -1)}, perigee.posesSent())`;
  const sent = Number(await page.evaluate(moved));
  await page.waitForFunction(`((purple) => purple.share > ${SEEN} && purple.x < 0.4)(${PURPLE})`);
  t.ok(Number(await page.evaluate("perigee.lastPoseId()")) <= sent, "it goes with the hand while no picture comes");
  await page.evaluate("window.isHeldBack = false");
  t.ok(await seeAfter(place(0, 1.6, -1), IN_THE_MIDDLE), "and back");
  await seeAfter(`headset.controllers.right.updateButtonValue("trigger", 0)`, `!(${IN_THE_MIDDLE})`);
  t.ok(agent.isAlive());
});

t.test("the page kept every contract", async (t) => {
  t.same(services.faults, []);
});
