/** Real session processes on this machine's Vulkan: frames follow the head by either transport, and every end has a reason. */
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect, createServer as createNetServer, Socket } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { Frame } from "#contracts/media/frame.ts";
import { makeGallery } from "#deploy/one-machine/sample/scene/gallery.ts";
import { systemClock } from "#platform/clock.ts";
import { listen } from "#platform/http/listening.ts";
import type { Equipment } from "#render-agent/session/messages.ts";
import { startSessionProcess } from "#render-agent/session/session-process.ts";
import { freeUdpPort } from "#test/render-agent/free-udp-port.ts";
import { differenceOf, openH264Decoder, openJpegDecoder } from "#test/render-agent/h264-decoder.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { environment, startSession, vulkan } from "#test/render-agent/started-session.ts";
import { connectViewer, offerViewer, sampledAtMsOf, type Viewer } from "#test/render-agent/viewer.ts";
import { testFolder } from "#test/test-folder.ts";

const setup = {
  renderClass: { name: "tiny", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 30 },
  detail: 0.3,
  sceneFile: join(import.meta.dirname, "../../deploy/one-machine/sample/scene/hall.json"),
  media: { bindAddress: "127.0.0.1", port: 0 },
};
/** A process in which the optional package cannot be imported, as where it is not installed. */
const hide = `import{registerHooks}from"node:module";registerHooks({resolve(name,context,next){if(name.startsWith("node-av"))throw new Error("not installed");return next(name,context)}})`;
const withoutPackage = { ...environment, NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hide)}` };

/** Of frames that a decoder can follow from the first key frame on. */
async function seeFrames(t: Test, viewer: Viewer, openDecoder = openH264Decoder): Promise<void> {
  const { frames } = viewer.received;
  await patiently(() => frames.length >= 4, "frames");
  const before90 = viewer.turnTo(90);
  const isOfTheTurn = ({ header }: Frame): boolean => header.poseId > before90;
  await patiently(() => frames.some(isOfTheTurn), "frames of the turn");
  viewer.say({ type: "keyframe-request" });
  await patiently(() => frames.some((frame) => frame.header.key && isOfTheTurn(frame)), "a key frame of the turn");
  for (const { header, depth } of frames) {
    t.ok(
      depth?.some((cell) => cell > 0),
      `frame ${header.frameNumber} has the depth that was asked for`,
    );
    t.equal(header.poseSampledAtMs, sampledAtMsOf(header.poseId), `frame ${header.frameNumber} echoes its pose`);
    t.ok(header.renderedAtMs >= header.renderStartedAtMs, `frame ${header.frameNumber} was rendered after its start`);
  }
  using decoder = openDecoder();
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

t.test("of two offers that are answered at the same time the newer has the session", async (t) => {
  const session = await startSession(t);
  // Nobody answers there: candidates are waited for.
  const iceServers = [{ urls: [`stun:127.0.0.1:${await freeUdpPort()}`] }];
  await session.setUp({ ...setup, media: { ...setup.media, iceServers } });
  await using older = await offerViewer();
  await using newer = await offerViewer();
  const overtaken = t.rejects(session.accept(older.offerSdp), { code: "media-invalid", message: /newer/ });
  newer.answer(await session.accept(newer.offerSdp));
  await overtaken;
  await patiently(() => newer.received.frames.length >= 2, "frames");
});

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

t.test("a socket handed to a process that ends before it takes it is closed, and so is the next", async (t) => {
  const session = await startSession(t);
  await session.setUp(setup);
  process.kill(session.pid, "SIGSTOP");
  let handed = 0;
  const server = createNetServer((socket) => {
    session.hand(socket, { url: "/", headers: {}, head: new Uint8Array() });
    handed += 1;
  });
  const { port } = await listen(server, { host: "127.0.0.1", port: 0 });
  t.teardown(() => server.close());
  const clients = [connect(port, "127.0.0.1"), connect(port, "127.0.0.1")];
  const closed = clients.map(
    (client) => new Promise<void>((resolve) => client.resume().once("close", () => resolve())),
  );
  await patiently(() => handed === clients.length, "they are handed on");
  process.kill(session.pid, "SIGKILL");
  t.equal(await session.ended, "process-exited: SIGKILL");
  await Promise.all(closed);
});

t.test("a glTF scene is drawn by the same process, one with a broken image ends it by name", async (t) => {
  const gallery = makeGallery();
  const folder = testFolder(t);
  const [whole, broken] = ["whole.glb", "broken.glb"].map((name) => join(folder, name));
  writeFileSync(whole ?? "", gallery);
  // Within the picture's compressed rows, which come first in the binary chunk.
  const firstRow = Buffer.from(gallery).indexOf("IDAT") + 20;
  writeFileSync(broken ?? "", gallery.with(firstRow, (gallery[firstRow] ?? 0) ^ 255));
  const session = await startSession(t);
  await session.setUp({ ...setup, sceneFile: whole ?? "" });
  t.ok((await session.measure(200)).framesMs.length > 0, "frames");
  await t.rejects(session.setUp({ ...setup, sceneFile: broken ?? "" }), { code: "scene-invalid" });
  t.match(await session.ended, /images\[0\] must be a whole PNG/);
});

t.test("what calibration measures is a session's whole way, and leaves no client behind", async (t) => {
  const session = await startSession(t);
  await session.setUp(setup);
  const measured = await session.measure(500);
  t.ok(measured.framesMs.length > 0 && measured.framesMs.length === measured.renderEncodeMs.length, "frames came");
  for (const [at, ms] of measured.renderEncodeMs.entries()) {
    // The two clocks' epochs are read at different moments, in whole milliseconds.
    t.ok((measured.framesMs[at] ?? 0) >= ms - 1, `frame ${at}: encoded after ${ms} ms, whole after it`);
  }
  t.ok(measured.cpuMs > 0 && measured.windowMs > 0, "and what they cost");
  await session.setUp({ ...setup, detail: 0.1 });
  t.ok((await session.measure(500)).framesMs.length > 0, "again with another setup, whose frames are counted anew");
  session.rest();
  await session.setUp(setup);
  await using viewer = await offerViewer();
  viewer.answer(await session.accept(viewer.offerSdp));
  await patiently(() => viewer.received.frames.length >= 4, "frames for a client");
  t.ok(viewer.received.frames[0]?.header.key, "which begin with a key frame");
});

t.test("a scene that is none is refused by name, and the process is gone", async (t) => {
  const session = await startSession(t);
  await t.rejects(session.setUp({ ...setup, sceneFile: import.meta.filename }), { code: "scene-invalid" });
  t.match(await session.ended, /scene/);
});

t.test("without the encoder's package pictures go as JPEG, and the process says what to install", async (t) => {
  const said: Equipment[] = [];
  const session = await startSession(t, { environment: withoutPackage, onEquipped: (one) => void said.push(one) });
  t.match(said, [{ encoder: "jpeg", advice: [] }]);
  t.match(said[0]?.advice.join(" | "), /node-av is not installed.*JPEG.*npm ci/);
  await session.setUp(setup);
  await using viewer = await offerViewer();
  viewer.answer(await session.accept(viewer.offerSdp));
  await seeFrames(t, viewer, openJpegDecoder);
  t.ok(viewer.received.frames.every(({ header }) => header.codec === "jpeg" && header.key));
});

t.test("a client that asks for JPEG gets no other picture, at half the rate; the next one gets video", async (t) => {
  const session = await startSession(t, { encoder: "libx264" });
  await session.setUp(setup);
  await using viewer = await offerViewer({ asksJpeg: true });
  viewer.answer(await session.accept(viewer.offerSdp));
  await seeFrames(t, viewer, openJpegDecoder);
  const { frames } = viewer.received;
  t.same([...new Set(frames.map(({ header }) => header.codec))], ["jpeg"]);
  await patiently(() => frames.length >= 20, "frames");
  const [first, last] = [frames[9], frames[19]].map((frame) => frame?.header.renderStartedAtMs ?? 0);
  const atWholeRateMs = (10 * 1000) / setup.renderClass.frameRateHz;
  t.ok((last ?? 0) - (first ?? 0) > 1.5 * atWholeRateMs, `10 frames in ${(last ?? 0) - (first ?? 0)} ms`);
  await using second = await offerViewer();
  second.answer(await session.accept(second.offerSdp));
  await seeFrames(t, second);
  t.same([...new Set(second.received.frames.map(({ header }) => header.codec))], ["h264"]);
});

t.test("frames that take longer and longer get smaller, and are decoded as what they are", async (t) => {
  const session = await startSession(t, { encoder: "jpeg" });
  await session.setUp(setup);
  await using viewer = await offerViewer();
  viewer.answer(await session.accept(viewer.offerSdp));
  const { frames } = viewer.received;
  await patiently(() => frames.length >= 4, "frames");
  let [networkMsMin, reported] = [10, 0];
  const report = (growth: number): void => {
    const newestFrame = frames.at(-1)?.header.frameNumber ?? 0;
    if (newestFrame === reported) return;
    networkMsMin = Math.min(50_000, networkMsMin * growth);
    viewer.say({ type: "frame-report", newestFrame, framesArrived: 1, bytes: 5_000, spanMs: 100, networkMsMin });
    reported = newestFrame;
  };
  const isOf = (eyePixels: number) => () => frames.at(-1)?.header.eyeWidthPixels === eyePixels;
  await patiently(() => {
    report(1.2);
    return isOf(80)();
  }, "a smaller picture");
  using decoder = openJpegDecoder();
  const { widthPixels, heightPixels } = decoder.decode(frames.at(-1)?.accessUnit ?? new Uint8Array());
  t.same([widthPixels, heightPixels], [160, 80]);
  networkMsMin = 10;
  await patiently(() => {
    report(1);
    return isOf(96)();
  }, "the full size again");
});

t.test("an encoder that is named is used, and said with what draws", async (t) => {
  const said: Equipment[] = [];
  const session = await startSession(t, { encoder: "jpeg", onEquipped: (one) => void said.push(one) });
  t.match(said, [{ encoder: "jpeg", isSoftware: vulkan.kind !== "device" }]);
  t.notMatch(said[0]?.advice.join(" | "), /node-av/);
  t.match(session.adapterName, /, jpeg$/, "so that calibrations of another encoder do not count");
});

t.test("without the encoder that was named or a GPU no process starts, and it says which", async (t) => {
  const named = { clock: systemClock, environment: withoutPackage, encoder: "libx264" } as const;
  await t.rejects(startSessionProcess(named), { code: "encoder-unavailable", message: /node-av is not installed/ });
  const withoutGpu = { ...environment, VK_DRIVER_FILES: join(t.testdirName, "none.json") };
  await t.rejects(startSessionProcess({ clock: systemClock, environment: withoutGpu }), {
    code: "gpu-unavailable",
    message: /mesa-vulkan-drivers.*SwiftShader/,
  });
});
