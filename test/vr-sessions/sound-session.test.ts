/** The sound of real session processes by data channels: asked for, by a connection of its own, following the head. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type AudioPacket, decodeAudio } from "#contracts/media/audio.ts";
import { AUDIO_CHANNEL } from "#contracts/media/control.ts";
import { systemClock } from "#platform/clock.ts";
import { findVulkan, prepareVulkan } from "#render-agent/renderer/software-vulkan.ts";
import { startSessionProcess } from "#render-agent/session/session-process.ts";
import { offerPeer } from "#render-agent/transport/offered-peer.ts";
import { openOpusDecoder } from "#test/render-agent/opus-decoder.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { soundScene } from "#test/render-agent/sound-scene.ts";
import { toneIn } from "#test/render-agent/tones.ts";
import { offerViewer, type Viewer } from "#test/render-agent/viewer.ts";
import { testFolder } from "#test/test-folder.ts";

const HERTZ = 440;

/** 30 blocks. */
const HEARD = 30;
const [vulkan = { kind: "device" as const }] = await findVulkan();
const environment = await prepareVulkan(vulkan, join(import.meta.dirname, "../../.cache/vulkan"));
const HUM = { name: "hum", tone: { hertz: HERTZ }, position: [3, 1.6, 0], loop: true };

/** A session that frames come from, and who sees them. */
async function startSession(t: Test, sounds: readonly object[], app?: string) {
  const folder = testFolder(t);
  const [sceneFile, appFile] = [join(folder, "scene.json"), join(folder, "app.js")];
  writeFileSync(sceneFile, soundScene(sounds));
  if (app !== undefined) writeFileSync(appFile, app);
  const session = await startSessionProcess({ clock: systemClock, environment });
  t.teardown(async () => {
    session.stop("the test is over");
    await session.ended;
  });
  const renderClass = { name: "tiny", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 30 };
  const media = { bindAddress: "127.0.0.1", port: 0 };
  await session.setUp({ ...{ renderClass, detail: 1, sceneFile, media }, ...(app === undefined ? {} : { appFile }) });
  const viewer = await offerViewer();
  t.teardown(() => viewer[Symbol.asyncDispose]());
  viewer.answer(await session.accept(viewer.offerSdp));
  await patiently(() => viewer.received.frames.length > 0, "a frame");
  return viewer;
}

async function audioState(viewer: Viewer) {
  viewer.say({ type: "audio-wish", isWanted: true });
  const find = () => viewer.received.control.findLast(({ type }) => type === "audio-state");
  await patiently(() => find() !== undefined, "what the agent says of sound");
  return find();
}

/** As a client's end does it. */
async function listen(t: Test, viewer: Viewer) {
  const packets: AudioPacket[] = [];
  const peer = await offerPeer([{ label: AUDIO_CHANNEL, isReliable: false }]);
  t.teardown(() => peer.close());
  peer.channels.get(AUDIO_CHANNEL)?.onMessage((message) => {
    if (typeof message !== "string") packets.push(decodeAudio(new Uint8Array(message)));
  });
  const answers = () => viewer.received.control.filter((message) => message.type === "audio-answer");
  const before = answers().length;
  viewer.say({ type: "audio-offer", sdp: peer.offerSdp });
  await patiently(() => answers().length > before, "an answer");
  peer.answer(answers().at(-1)?.sdp ?? "");
  return packets;
}

function earsOf(packets: readonly AudioPacket[]) {
  using decoder = openOpusDecoder();
  const blocks = packets.map(({ opus }) => decoder.decode(opus));
  // A decoder needs a block or two to begin.
  const heard = blocks.slice(3);
  const ear = (side: "left" | "right") =>
    toneIn(
      heard.flatMap((block) => [...block[side]]),
      HERTZ,
    ).amplitude;
  return { left: ear("left"), right: ear("right") };
}

t.test(
  "a tone comes by a connection of its own, from the side that the head has it on, stamped as frames are",
  async (t) => {
    const viewer = await startSession(t, [{ ...HUM, plays: true }]);
    t.match(await audioState(viewer), { isThere: true });
    const packets = await listen(t, viewer);
    await patiently(() => packets.length >= HEARD, "some sound");
    const ahead = earsOf(packets.slice(-HEARD));
    t.ok(ahead.right > 10 * ahead.left && ahead.right > 0.05, JSON.stringify(ahead));
    const frame = viewer.received.frames.at(-1)?.header.renderStartedAtMs ?? 0;
    t.ok(Math.abs((packets.at(-1)?.stampMs ?? 0) - frame) < 10_000, "by one clock");
    viewer.turnTo(180);
    const seen = packets.length;
    await patiently(() => packets.length >= seen + 2 * HEARD, "some more");
    const turned = earsOf(packets.slice(-HEARD));
    t.ok(turned.left > 10 * turned.right && turned.left > 0.05, JSON.stringify(turned));
    const second = await listen(t, viewer);
    await patiently(() => second.length >= HEARD, "by another connection it goes on");
    viewer.say({ type: "audio-wish", isWanted: false });
    const { received } = viewer;
    const frames = received.frames.length;
    await patiently(() => received.frames.length > frames + 5, "frames go on");
    const muted = second.length;
    await patiently(() => received.frames.length > frames + 15, "and on");
    t.equal(second.length, muted, "and no sound");
  },
);

t.test("an app's sound begins when the app starts it, and ends", async (t) => {
  const app = `let scene; let was = 0;
export function init(given) { scene = given; }
export function update(pose, { controllers: [hand] }) {
  const squeeze = hand?.squeeze ?? 0;
  if (squeeze > 0.5 && was <= 0.5) scene.sounds.hum.play({ position: hand.position });
  was = squeeze;
}`;
  const viewer = await startSession(t, [{ ...HUM, loop: false, tone: { hertz: HERTZ, seconds: 0.3 } }], app);
  t.match(await audioState(viewer), { isThere: true });
  const packets = await listen(t, viewer);
  const hand = { hand: "right", position: { x: -2, y: 1.6, z: 0 }, orientation: { x: 0, y: 0, z: 0, w: 1 } } as const;
  viewer.hold([{ ...hand, trigger: 0, squeeze: 1, thumbstick: { x: 0, y: 0 } }]);
  await patiently(() => packets.at(-1)?.isLast === true, "the sound and its end");
  const { left, right } = earsOf(packets.slice(0, 20));
  t.ok(left > 10 * right && left > 0.05, `from where the hand was: ${left}, ${right}`);
});

t.test("a scene without sounds says so when it is asked", async (t) => {
  const viewer = await startSession(t, []);
  t.match(await audioState(viewer), { isThere: false, because: "the scene has no sounds" });
});
