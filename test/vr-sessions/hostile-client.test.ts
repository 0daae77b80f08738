/** Real session processes with clients that mean no good, and a GPU that breaks: each costs its own session, by name. */

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import t, { type Test } from "tap";
import type { ControlMessage } from "#contracts/media/control.ts";
import { decodeFrame, type FrameHeader } from "#contracts/media/frame.ts";
import { encodePose, type PoseMessage } from "#contracts/media/pose.ts";
import { systemClock } from "#platform/clock.ts";
import type { SessionProcess } from "#render-agent/session/session-process.ts";
import { offerReceiver } from "#render-agent/transport/receiver.ts";
import { freeUdpPort } from "#test/render-agent/free-udp-port.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { environment, startSession } from "#test/render-agent/started-session.ts";
import { offerViewer } from "#test/render-agent/viewer.ts";

const FRAME_RATE_HZ = 30;
const breaker = pathToFileURL(join(import.meta.dirname, "../../render-agent/test/break-device.ts")).href;
const breakable = { NODE_OPTIONS: `--import=${breaker}` };

async function startHall(t: Test, port = 0, options: Readonly<Record<string, string>> = {}): Promise<SessionProcess> {
  const session = await startSession(t, { environment: { ...environment, ...options }, encoder: "jpeg" });
  await session.setUp({
    renderClass: { name: "tiny", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: FRAME_RATE_HZ },
    detail: 0.3,
    sceneFile: join(import.meta.dirname, "../../deploy/one-machine/sample/scene/hall.json"),
    media: { bindAddress: "127.0.0.1", port },
  });
  return session;
}

function poseOf(poseId: number, changes: Partial<PoseMessage> = {}): Uint8Array<ArrayBuffer> {
  const eye = { offset: { x: 0, y: 0, z: 0 }, fieldOfView: { left: 1, right: 1, up: 1, down: 1 } };
  const [position, orientation] = [
    { x: 0, y: 1.6, z: 0 },
    { x: 0, y: 0, z: 0, w: 1 },
  ];
  return encodePose({ poseId, sampledAtMs: 1_000 + poseId, position, orientation, eyes: [eye, eye], ...changes });
}

/** A client that sends what it is told to, and nothing by itself. */
async function connect(t: Test, session: SessionProcess) {
  const headers: FrameHeader[] = [];
  const told: ControlMessage[] = [];
  const receiver = await offerReceiver({
    clock: systemClock,
    connectionsMax: 1,
    onFrame: ({ bytes }) => void headers.push(decodeFrame(bytes).header),
    onControl: (message) => void told.push(message),
  });
  t.teardown(() => receiver[Symbol.asyncDispose]());
  receiver.answer(await session.accept(receiver.offerSdp));
  /** Sends poses from this one on until there is a frame of one of them. */
  const seeFrom = async (poseId: number, what: string): Promise<void> => {
    let next = poseId;
    await patiently(() => {
      receiver.sendPose(poseOf(next));
      next += 1;
      return headers.some((header) => header.poseId >= poseId);
    }, what);
  };
  return { receiver, headers, told, seeFrom };
}

/** Its process is gone, and its port can be had. */
async function assertGone(t: Test, { pid }: SessionProcess, port: number): Promise<void> {
  t.throws(() => process.kill(pid, 0), { code: "ESRCH" }, "its process is gone");
  const socket = createSocket("udp4").bind(port, "127.0.0.1");
  await once(socket, "listening");
  socket.close();
}

t.test("poses that are none, and those of the past, are no frames; the next that is one is drawn", async (t) => {
  const session = await startHall(t);
  const { receiver, headers, seeFrom } = await connect(t, session);
  await seeFrom(1, "a first frame");
  const bad = 1_000_000;
  const nan = { x: Number.NaN, y: 0, z: 0 };
  for (const [at, changes] of [
    { position: nan },
    { orientation: { ...nan, w: 1 } },
    { sampledAtMs: Number.NaN },
  ].entries())
    receiver.sendPose(poseOf(bad + at, changes));
  receiver.sendPose(poseOf(bad).subarray(0, 60));
  receiver.sendPose(new Uint8Array(4_000));
  await seeFrom(500_000, "a frame after what is none");
  receiver.sendPose(poseOf(3));
  await seeFrom(600_000, "a frame after one of the past");
  const ids = headers.map(({ poseId }) => poseId);
  t.same(
    ids,
    ids.toSorted((a, b) => a - b),
    "nothing goes back",
  );
  t.notOk(
    ids.some((id) => id >= bad),
    "what is none is not drawn",
  );
});

t.test("ten thousand poses at once are as many frames as their time has, and the newest is next", async (t) => {
  const session = await startHall(t);
  const { receiver, headers, seeFrom } = await connect(t, session);
  await seeFrom(1, "a first frame");
  const [before, flood] = [headers.length, 10_000];
  for (let id = 100_001; id <= 100_000 + flood; id += 1) receiver.sendPose(poseOf(id));
  await patiently(() => headers.some(({ poseId }) => poseId > 100_000), "frames of the flood");
  await seeFrom(200_000, "a frame after the flood");
  const drawn = headers.slice(before).filter(({ poseId }) => poseId > 100_000);
  const spanMs = (drawn.at(-1)?.renderStartedAtMs ?? 0) - (drawn[0]?.renderStartedAtMs ?? 0);
  const most = (spanMs * FRAME_RATE_HZ) / 1_000 + 2;
  t.ok(drawn.length <= most, `${drawn.length} frames in ${Math.round(spanMs)} ms`);
  for (const { frameNumber, poseReceivedAtMs, renderStartedAtMs } of drawn)
    t.ok(renderStartedAtMs >= poseReceivedAtMs, `frame ${frameNumber} is of a pose that had come`);
});

t.test(
  "a client whose candidates do not answer is silent: its session ends, its process and port are free",
  async (t) => {
    const port = await freeUdpPort();
    const session = await startHall(t, port);
    const nobody = await freeUdpPort();
    const receiver = await offerReceiver({
      clock: systemClock,
      connectionsMax: 1,
      onFrame: () => t.fail("a frame for nobody"),
      onControl: () => undefined,
    });
    t.teardown(() => receiver[Symbol.asyncDispose]());
    const candidates = [nobody, 9, 1].map(
      (to, at) => `a=candidate:${at} 1 UDP ${2_000 - at} 127.0.0.1 ${to} typ host\r\n`,
    );
    await session.accept(receiver.offerSdp + candidates.join(""));
    t.equal(await session.ended, "client-silent");
    await assertGone(t, session, port);
  },
);

t.test("a GPU that is lost ends its session by name, its client is told, and another's frames go on", async (t) => {
  const port = await freeUdpPort();
  const [session, other] = [await startHall(t, port, breakable), await startHall(t)];
  await using viewer = await offerViewer();
  await using second = await offerViewer();
  viewer.answer(await session.accept(viewer.offerSdp));
  second.answer(await other.accept(second.offerSdp));
  await patiently(() => viewer.received.frames.length > 2 && second.received.frames.length > 2, "frames of both");
  process.kill(session.pid, "SIGUSR2");
  t.match(await session.ended, /^gpu-lost: /);
  await patiently(() => viewer.received.control.some(({ type }) => type === "session-end"), "the client is told");
  t.match(viewer.received.control.at(-1), { type: "session-end", reason: /^gpu-lost: / });
  await assertGone(t, session, port);
  const seen = second.received.frames.length;
  await patiently(() => second.received.frames.length > seen + 3, "the other's frames go on");
});

t.test("a GPU that never finishes a frame ends its session by name, and its client is told", async (t) => {
  const port = await freeUdpPort();
  const session = await startHall(t, port, breakable);
  await using viewer = await offerViewer();
  viewer.answer(await session.accept(viewer.offerSdp));
  await patiently(() => viewer.received.frames.length > 2, "frames");
  process.kill(session.pid, "SIGHUP");
  t.equal(await session.ended, "deadline-exceeded: a frame was not rendered within 2000 ms");
  await patiently(() => viewer.received.control.some(({ type }) => type === "session-end"), "the client is told");
  t.match(viewer.received.control.at(-1), { type: "session-end", reason: /^deadline-exceeded: / });
  await assertGone(t, session, port);
});
