/** An emulated headset in a real browser: a person enters VR, looks around and leaves; pictures are of the poses that were sent. */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import Type from "typebox";
import { Value } from "typebox/value";
import { bundleClient } from "#client/bundle.ts";
import { decodePose, POSE_BYTES, type PoseMessage } from "#contracts/media/pose.ts";
import { createAgentStarter, startAgent } from "./agents.ts";
import { openPageWorld } from "./page-world.ts";

const WAIT_MS_MAX = 30_000;
const IWER = fileURLToPath(new URL("../build/iwer.min.js", import.meta.resolve("iwer")));
const POSES_KEPT_MAX = 2_000;
/** Before the page's own scripts: an emulated headset, and a record of the poses that leave. */
const WATCHED = `
  window.headset = new IWER.XRDevice(IWER.metaQuest3, { stereoEnabled: true });
  window.headset.installRuntime({ forceInstall: true });
  window.posesOut = [];
  const { send } = RTCDataChannel.prototype;
  RTCDataChannel.prototype.send = function (message) {
    if (message.byteLength >= ${POSE_BYTES} && posesOut.push([...message]) > ${POSES_KEPT_MAX}) posesOut.shift();
    return send.call(this, message);
  };`;
/** As float32 on the wire. */
const TOLERANCE = 1e-5;
/** The hall's red column is ahead and its green one to the right. */
const LOOKS = [
  { name: "ahead", yawDegrees: 0, position: { x: 0, y: 1.6, z: 0 }, sees: "red" },
  { name: "to the right", yawDegrees: -90, position: { x: 0.1, y: 1.5, z: -0.2 }, sees: "green" },
  { name: "ahead again", yawDegrees: 3, position: { x: -0.1, y: 1.7, z: 0.1 }, sees: "red" },
] as const;
/** Of the picture; a column that is ahead covers twice as much at least. */
const SEEN = 0.02;
const UNSEEN = 0.005;

const folder = await mkdtemp(join(tmpdir(), "perigee-headset-"));
await bundleClient(folder);
const agent = await startAgent("agent-1", await createAgentStarter());
const { services, page, errors } = await openPageWorld(t, {
  folder,
  webrtc: [agent],
  height: 420,
  waitMs: WAIT_MS_MAX,
});
await page.addInitScript({ path: IWER });
await page.addInitScript(WATCHED);
await page.goto(services.pageUrl);
await page.waitForFunction("window.perigee?.framesDecoded() > 5");

const pictureSchema = Type.Object({ poseId: Type.Integer(), red: Type.Number(), green: Type.Number() });

/** The first picture of a pose that was sent after now: shares of its pixels. */
async function nextPicture() {
  const sent = Number(await page.evaluate("perigee.posesSent()"));
  await page.waitForFunction(`perigee.lastPoseId() > ${sent + 1}`);
  const picture = await page.evaluate(`(() => {
    const { poseId, widthPixels, heightPixels, rgba } = perigee.readPicture();
    let [red, green] = [0, 0];
    for (let at = 0; at < rgba.length; at += 4) {
      const [r, g, b] = [rgba[at], rgba[at + 1], rgba[at + 2]];
      if (r > 1.8 * g && r > 1.8 * b && r > 80) red += 1;
      if (g > 1.5 * r && g > 1.5 * b && g > 60) green += 1;
    }
    const pixels = widthPixels * heightPixels;
    return { poseId, red: red / pixels, green: green / pixels };
  })()`);
  return Value.Parse(pictureSchema, picture);
}

/** What left the page under a number. */
async function sentPose(poseId: number): Promise<PoseMessage> {
  const messages = Value.Parse(Type.Array(Type.Array(Type.Integer())), await page.evaluate("posesOut"));
  const found = messages.map((bytes) => decodePose(Uint8Array.from(bytes))).find((pose) => pose.poseId === poseId);
  if (found === undefined) throw new Error(`no pose ${poseId} was sent`);
  return found;
}

const press = (id: string) => page.evaluate(`document.querySelector("#${id}").click()`);

t.test("entering VR, the headset's frames are drawn and the page's own stop", async (t) => {
  t.equal(await page.textContent("#headset"), "Enter VR");
  await press("headset");
  await page.waitForFunction("perigee.statistics().framesDrawnInHeadset > 3");
  t.equal(await page.textContent("#headset"), "Leave VR");
  // Pictures that a loaded machine holds up are looked for a while; they come by the same placement.
  await page.waitForFunction('perigee.state().phase === "running"');
  t.match(await page.evaluate("perigee.state()"), { attempt: 1 }, "where it was placed");
});

t.test("looking around, each picture was rendered from the pose that left under its number", async (t) => {
  for (const { name, yawDegrees, position, sees } of LOOKS) {
    const half = (yawDegrees * Math.PI) / 360;
    const orientation = { x: 0, y: Math.sin(half), z: 0, w: Math.cos(half) };
    await page.evaluate(`(() => {
      headset.quaternion.set(0, ${orientation.y}, 0, ${orientation.w});
      headset.position.set(${position.x}, ${position.y}, ${position.z});
    })()`);
    const { poseId, ...shares } = await nextPicture();
    const pose = await sentPose(poseId);
    t.equal(pose.asksFoveation, true, `${name}: a headset's picture may be foveated`);
    const isNear = (a: number, b: number) => Math.abs(a - b) < TOLERANCE;
    const { position: p, orientation: q } = pose;
    t.ok(
      isNear(q.x, 0) && isNear(q.y, orientation.y) && isNear(q.z, 0) && isNear(q.w, orientation.w),
      `${name}: turned`,
    );
    t.ok(
      isNear(p.x, position.x) && isNear(p.y, position.y) && isNear(p.z, position.z),
      `${name}: pose ${poseId} is there`,
    );
    const other = sees === "red" ? "green" : "red";
    t.ok(shares[sees] > SEEN && shares[other] < UNSEEN, `${name} is ${sees}: ${JSON.stringify(shares)}`);
  }
});

t.test("left, the page goes on where it was, and VR can be entered again", async (t) => {
  await press("headset");
  await page.waitForFunction(`document.querySelector("#headset").textContent === "Enter VR"`);
  const inHeadset = Number(await page.evaluate("perigee.statistics().framesDrawnInHeadset"));
  await page.evaluate("perigee.setHead({ yawDegrees: 90, pitchDegrees: 0 })");
  const { poseId, red, green } = await nextPicture();
  t.ok(Math.abs((await sentPose(poseId)).orientation.y + Math.SQRT1_2) < TOLERANCE, "its poses are the page's head");
  t.ok(green > SEEN && red < UNSEEN, "and its pictures");
  t.equal(
    await page.evaluate("perigee.statistics().framesDrawnInHeadset"),
    inHeadset,
    "nothing is drawn to the headset",
  );
  await press("headset");
  await page.waitForFunction(`perigee.statistics().framesDrawnInHeadset > ${inHeadset + 3}`);
  await page.evaluate("headset.activeSession.end()");
  await page.waitForFunction(`document.querySelector("#headset").textContent === "Enter VR"`);
  t.match(await page.evaluate("perigee.state()"), { phase: "running", attempt: 1 });
  t.same(services.faults, []);
  t.same(errors, []);
});
