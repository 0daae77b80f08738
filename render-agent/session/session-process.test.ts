/** Real session processes on this machine's Vulkan: frames follow the head by either transport, and every end has a reason. */
import { createServer } from "node:http";
import { Socket } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { Frame } from "#contracts/media/frame.ts";
import { systemClock } from "#platform/clock.ts";
import { listen } from "#platform/http/listening.ts";
import { bindUdpRange } from "#platform/links/udp-ports.ts";
import { differenceOf, openH264Decoder } from "#test/render-agent/h264-decoder.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { connectViewer, offerViewer, sampledAtMsOf, type Viewer } from "#test/render-agent/viewer.ts";
import { findVulkan, prepareVulkan } from "../renderer/software-vulkan.ts";
import { type SessionProcess, startSessionProcess } from "./session-process.ts";

const setup = {
  renderClass: { name: "tiny", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 30 },
  detail: 0.3,
  sceneFile: join(import.meta.dirname, "../../deploy/one-machine/sample/scene/hall.json"),
  media: { bindAddress: "127.0.0.1", port: 0 },
};
const [vulkan = { kind: "device" as const }] = await findVulkan();
const environment = await prepareVulkan(vulkan, join(import.meta.dirname, "../../.cache/vulkan"));

async function startSession(t: Test): Promise<SessionProcess> {
  const session = await startSessionProcess({ clock: systemClock, environment });
  t.teardown(async () => {
    session.stop("the test is over");
    await session.ended;
  });
  return session;
}

/** Of frames that a decoder can follow from the first key frame on. */
async function seeFrames(t: Test, viewer: Viewer): Promise<void> {
  const { frames } = viewer.received;
  await patiently(() => frames.length >= 4, "frames");
  const before90 = viewer.turnTo(90);
  const isOfTheTurn = ({ header }: Frame): boolean => header.poseId > before90;
  await patiently(() => frames.some(isOfTheTurn), "frames of the turn");
  viewer.say({ type: "keyframe-request" });
  await patiently(() => frames.some((frame) => frame.header.key && isOfTheTurn(frame)), "a key frame of the turn");
  for (const { header } of frames) {
    t.equal(header.poseSampledAtMs, sampledAtMsOf(header.poseId), `frame ${header.frameNumber} echoes its pose`);
    t.ok(header.renderedAtMs >= header.renderStartedAtMs, `frame ${header.frameNumber} was rendered after its start`);
  }
  using decoder = openH264Decoder();
  const [first] = frames;
  const turned = frames.findLast((frame) => frame.header.key && isOfTheTurn(frame));
  t.ok(first?.header.key && first !== turned, "the first frame is a key frame, and one came when it was asked for");
  const before = decoder.decode(first?.accessUnit ?? new Uint8Array());
  const after = decoder.decode(turned?.accessUnit ?? new Uint8Array());
  t.same([before.widthPixels, before.heightPixels], [192, 96]);
  t.ok(differenceOf(before, after) > 5, `the picture has changed by ${differenceOf(before, after)}`);
}

t.test(
  "frames over data channels echo their poses and follow the head, and the client hears of the end",

  async (t) => {
    const session = await startSession(t);
    await session.setUp(setup);
    await t.rejects(session.accept("not an offer"), { code: "media-invalid" });
    await using viewer = await offerViewer();
    const roundTripsMs: number[] = [];
    session.onStatistics((_statistics, rttMs) => void roundTripsMs.push(rttMs));
    viewer.answer(await session.accept(viewer.offerSdp));
    await seeFrames(t, viewer);
    await patiently(() => viewer.received.control.some(({ type }) => type === "statistics"), "statistics");
    await patiently(() => roundTripsMs.some((rttMs) => rttMs > 0), "the connection's round trip");
    session.stop("draining");
    t.equal(await session.ended, "draining");
    await patiently(() => viewer.received.control.some((said) => said.type === "session-end"), "the end is told");
    t.match(viewer.received.control.at(-1), { type: "session-end", reason: "draining" });
  },
);

t.test(
  "a client that offers again gets its session back on the same port, and the old connection nothing",
  async (t) => {
    const session = await startSession(t);
    const port = await freeUdpPort();
    await session.setUp({ ...setup, media: { bindAddress: "127.0.0.1", port } });
    await using first = await offerViewer();
    const answer = await session.accept(first.offerSdp);
    t.match(answer, new RegExp(`127.0.0.1 ${port} typ host`));
    first.answer(answer);
    await patiently(() => first.received.frames.length > 0, "frames");
    await using second = await offerViewer();
    second.answer(await session.accept(second.offerSdp));
    await patiently(() => second.received.frames.length >= 2, "frames again");
    t.ok(second.received.frames[0]?.header.key, "which begin with a key frame");
    second.say({ type: "session-end", reason: "done" });
    t.equal(await session.ended, "client-ended");
  },
);

t.test(
  "the same over a WebSocket whose socket the agent hands on; SIGKILL ends it with a reason",

  async (t) => {
    const session = await startSession(t);
    await session.setUp(setup);
    const server = createServer();
    server.on("upgrade", (request, socket, head) => {
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
      if (socket instanceof Socket) session.hand(socket, { url: request.url ?? "", headers, head });
    });
    const { port } = await listen(server, { host: "127.0.0.1", port: 0 });
    t.teardown(() => server.close());
    await using viewer = await connectViewer(`ws://127.0.0.1:${port}/`);
    await seeFrames(t, viewer);
    process.kill(session.pid, "SIGKILL");
    t.equal(await session.ended, "process-exited: SIGKILL");
    await viewer.closed;
  },
);

t.test("a scene that is none is refused by name, and the process is gone", async (t) => {
  const session = await startSession(t);
  await t.rejects(session.setUp({ ...setup, sceneFile: import.meta.filename }), { code: "scene-invalid" });
  t.match(await session.ended, /scene/);
});

t.test("without an encoder or a GPU no process starts, and it says which", async (t) => {
  const hide = `import{registerHooks}from"node:module";registerHooks({resolve(name,context,next){if(name.startsWith("node-av"))throw new Error("not installed");return next(name,context)}})`;
  const withoutEncoder = { ...environment, NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hide)}` };
  await t.rejects(startSessionProcess({ clock: systemClock, environment: withoutEncoder }), {
    code: "encoder-unavailable",
  });
  const withoutGpu = { ...environment, VK_DRIVER_FILES: join(t.testdirName, "none.json") };
  await t.rejects(startSessionProcess({ clock: systemClock, environment: withoutGpu }), { code: "gpu-unavailable" });
});

async function freeUdpPort(): Promise<number> {
  const [socket] = await bindUdpRange({ host: "127.0.0.1", port: 0 }, 1);
  const port = socket?.address().port ?? 0;
  await new Promise<void>((resolve) => socket?.close(() => resolve()));
  return port;
}
