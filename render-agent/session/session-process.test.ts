/** A real session process on this machine's Vulkan: frames echo the poses sent, and its death is told with a reason. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import nodeDataChannel from "node-datachannel";
import t from "tap";
import { FrameAssembler } from "#contracts/media/fragments.ts";
import { decodeFrame, type Frame } from "#contracts/media/frame.ts";
import { encodePose } from "#contracts/media/pose.ts";
import { systemClock } from "#platform/clock.ts";
import { prepareVulkan } from "../renderer/software-vulkan.ts";
import { advertised } from "../transport/webrtc.ts";
import { startSessionProcess } from "./session-process.ts";

const setup = {
  renderClass: { name: "tiny", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 30 },
  detail: 0.3,
  sceneFile: join(import.meta.dirname, "../../deploy/one-machine/sample/scene/hall.json"),
  media: { bindAddress: "127.0.0.1", port: 0 },
};
const eye = { offset: { x: 0, y: 0, z: 0 }, fieldOfView: { left: 1, right: 1, up: 1, down: 1 } };
const poseOf = (poseId: number) =>
  encodePose({
    poseId,
    sampledAtMs: 1000 + poseId,
    position: { x: 0, y: 1.6, z: 0 },
    orientation: { x: 0, y: 0, z: 0, w: 1 },
    eyes: [eye, eye],
  });

t.test("frames over a data channel echo their poses, and SIGKILL ends the session with a reason", async (t) => {
  const cacheDir = await mkdtemp(join(tmpdir(), "perigee-vulkan-"));
  t.teardown(() => rm(cacheDir, { recursive: true }));
  const session = await startSessionProcess({ clock: systemClock, environment: await prepareVulkan(cacheDir), setup });
  const peer = new nodeDataChannel.PeerConnection("client", { iceServers: [], bindAddress: "127.0.0.1" });
  const offer = new Promise<string>((resolve) =>
    peer.onGatheringStateChange((state) => {
      if (state === "complete") resolve(peer.localDescription()?.sdp ?? "");
    }),
  );
  const unreliable = { unordered: true, maxRetransmits: 0 };
  const poses = peer.createDataChannel("poses", unreliable);
  const frames = peer.createDataChannel("frames", unreliable);
  const control = peer.createDataChannel("control");
  const received: Frame[] = [];
  const assembler = new FrameAssembler();
  let poseId = 0;
  const enough = new Promise<void>((resolve) =>
    frames.onMessage((message) => {
      if (typeof message === "string") return;
      const whole = assembler.add(new Uint8Array(message));
      if (whole === undefined) return;
      received.push(decodeFrame(whole.bytes));
      if (received.length === 5) resolve();
    }),
  );
  peer.setRemoteDescription(await session.accept(await offer), "answer");
  const sending = systemClock.every(30, () => {
    poseId += 1;
    if (poses.isOpen() && frames.isOpen()) poses.sendMessageBinary(poseOf(poseId));
  });
  await enough;
  sending[Symbol.dispose]();
  t.ok(received.some((frame) => frame.header.key));
  for (const { header } of received) {
    t.equal(header.poseSampledAtMs, 1000 + header.poseId, `frame ${header.frameNumber}`);
    t.ok(header.renderedAtMs >= header.renderStartedAtMs, `frame ${header.frameNumber}`);
    t.equal(header.codec, "h264", `frame ${header.frameNumber}`);
  }
  process.kill(session.pid, "SIGKILL");
  t.equal(await session.ended, "process exited with SIGKILL");
  // The library's threads hold the process until they are told, and must have seen the close first.
  await new Promise<void>((resolve) => {
    peer.onStateChange((state) => {
      if (state === "closed") resolve();
    });
    for (const channel of [poses, frames, control]) channel.close();
    peer.close();
  });
  nodeDataChannel.cleanup();
});

t.test("host candidates are advertised at another address and port", async (t) => {
  const line = "a=candidate:1 1 UDP 2122317823 127.0.0.1 5000 typ host";
  t.equal(
    advertised(line, { address: "192.0.2.7", portOffset: 100 }),
    "a=candidate:1 1 UDP 2122317823 192.0.2.7 5100 typ host",
  );
  t.equal(advertised(line, undefined), line);
});
