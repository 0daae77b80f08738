/** The sound of a scene in a real browser, from a real session process: what is heard, at which ear, when, and why not. */
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import Type from "typebox";
import { Value } from "typebox/value";
import { bundleClient } from "#client/bundle.ts";
import { earGainsOf } from "#render-agent/audio/placing.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { soundScene } from "#test/render-agent/sound-scene.ts";
import { loudestHertz, toneIn } from "#test/render-agent/tones.ts";
import { createAgentStarter, startAgent } from "../browser/agents.ts";
import { openPageWorld } from "../browser/page-world.ts";

const WAIT_MS_MAX = 30_000;
const HERTZ = 440;
const SOURCE = { x: 1.5, y: 1.6, z: -1.5 };
/** Half of full scale, as a tone is made. */
const AMPLITUDE = 0.5;
const SCENE = soundScene([
  { name: "hum", tone: { hertz: HERTZ }, position: [SOURCE.x, SOURCE.y, SOURCE.z], loop: true, plays: true },
]);
/** In the page: what goes to the loudspeakers is listened to on its way. */
const TAP = `
  // Whoever asks the page by the developer tools counts as a person who has acted.
  Object.defineProperty(Navigator.prototype, "userActivation", { value: { hasBeenActive: false, isActive: false } });
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (to, ...rest) {
    if (to === this.context.destination) {
      const splitter = this.context.createChannelSplitter(2);
      connect.call(this, splitter);
      window.ears = [0, 1].map((ear) => {
        const analyser = this.context.createAnalyser();
        analyser.fftSize = 8192;
        connect.call(splitter, analyser, ear);
        return analyser;
      });
    }
    return connect.call(this, to, ...rest);
  };
  window.listen = () => (window.ears ?? []).map((ear) => {
    const samples = new Float32Array(ear.fftSize);
    ear.getFloatTimeDomainData(samples);
    return [...samples];
  });`;
const ears = Type.Tuple([Type.Array(Type.Number()), Type.Array(Type.Number())]);
const statistics = Type.Object({
  audio: Type.Object({
    phase: Type.String(),
    packetsReceived: Type.Integer(),
    packetsLost: Type.Integer(),
    bufferMs: Type.Number(),
  }),
  audioToPictureMs: Type.Optional(Type.Object({ p5: Type.Number(), p50: Type.Number(), p95: Type.Number() })),
});

const folder = await mkdtemp(join(tmpdir(), "perigee-audio-"));
await bundleClient(folder);
const sceneFile = join(folder, "scene.json");
await writeFile(sceneFile, SCENE);
const start = await createAgentStarter();
const agent = await startAgent("agent-1", start, { sceneFile });
const websocket = await startAgent("agent-2", start, { sceneFile });
const { services, browser, page, errors } = await openPageWorld(t, {
  folder,
  webrtc: [agent],
  websocket,
  height: 420,
  waitMs: WAIT_MS_MAX,
});
await page.addInitScript(TAP);
await page.goto(services.pageUrl);
await page.waitForFunction("window.perigee?.framesDecoded() > 5");

const listen = async () => {
  const heard = await page.evaluate("listen()");
  return Value.Check(ears, heard) ? heard : undefined;
};
const seen = async () => Value.Parse(statistics, Value.Clean(statistics, await page.evaluate("perigee.statistics()")));

t.test("nothing is heard before a person acts, and then the tone is, as it is in the scene", async (t) => {
  t.match(await seen(), { audio: { phase: "waiting-for-gesture", packetsReceived: 0 } });
  await page.click("#layout");
  let heard = await listen();
  await patiently(async () => {
    heard = await listen();
    return heard !== undefined && toneIn(heard[1], HERTZ).share > 0.98;
  }, "the tone, whole").catch(async (cause: unknown) => {
    throw new Error(JSON.stringify(await page.evaluate("perigee.statistics()")), { cause });
  });
  const [left = [], right = []] = heard ?? [];
  t.equal(loudestHertz(right, HERTZ - 20, HERTZ + 20), HERTZ);
  const expected = earGainsOf(SOURCE, { position: { x: 0, y: 1.6, z: 0 }, orientation: { x: 0, y: 0, z: 0, w: 1 } });
  t.ok(Math.abs(toneIn(right, HERTZ).amplitude / (AMPLITUDE * expected.right) - 1) < 0.05, "as loud on the right");
  t.ok(Math.abs(toneIn(left, HERTZ).amplitude / (AMPLITUDE * expected.left) - 1) < 0.05, "as loud on the left");
  t.comment(JSON.stringify({ expected, seen: await seen() }));
  t.match(await seen(), { audio: { phase: "on" } });
});

t.test("sound is muted and comes back, and its place by the picture is known", async (t) => {
  await page.evaluate("perigee.setAudio(false)");
  await page.waitForFunction(`window.ears[0].context.state === "suspended"`);
  t.match(await seen(), { audio: { phase: "off" } });
  await page.evaluate("perigee.setAudio(true)");
  await patiently(async () => toneIn((await listen())?.[1] ?? [], HERTZ).share > 0.9, "the tone again");
  await patiently(async () => (await seen()).audioToPictureMs !== undefined, "and its place");
  const { audioToPictureMs, audio } = await seen();
  // How near it is on a machine at rest is `npm run bench:sound`.
  t.comment(`after the picture, in ms: ${JSON.stringify(audioToPictureMs)}, ${audio.bufferMs} ms are held`);
  t.ok(Math.abs(audioToPictureMs?.p50 ?? Number.NaN) < 1_000, "by clocks that have nothing in common");
  t.same(errors, []);
});

t.test("by a WebSocket sound comes too", async (t) => {
  const other = await browser.context.newPage();
  await other.addInitScript("delete window.RTCPeerConnection");
  await other.addInitScript(TAP);
  await other.goto(services.pageUrl);
  await other.waitForFunction("window.perigee?.framesDecoded() > 5");
  t.match(await other.evaluate("perigee.state()"), { transport: "websocket", agent: "agent-2" });
  await other.click("#layout");
  const isHeard = async () => toneIn(Value.Parse(ears, await other.evaluate("listen()"))[1], HERTZ).share > 0.9;
  await patiently(async () => (await other.evaluate("window.ears !== undefined")) === true && isHeard(), "the tone");
  await other.evaluate("perigee.leave()");
  await other.close();
});
