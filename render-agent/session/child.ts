/** A session's own process: GPU device, renderer, encoder and transport, told what to do by its agent over IPC. */
import { readFile } from "node:fs/promises";
import type { PoseMessage } from "#contracts/media/pose.ts";
import { systemClock } from "#platform/clock.ts";
import { openX264Encoder } from "../encoder/x264-encoder.ts";
import { openGpu } from "../renderer/gpu.ts";
import { parseScene } from "../renderer/scene.ts";
import { StereoRenderer } from "../renderer/stereo-renderer.ts";
import { acceptOffer, type Transport } from "../transport/webrtc.ts";
import type { FromSession, SessionSetup, ToSession } from "./messages.ts";
import { FramePipeline } from "./pipeline.ts";

/** Shaders are compiled by the first frame: it is rendered before a session is accepted. */
const WARM_UP_FRAMES = 3;
/** A client whose head and network are alive sends poses many times in this. */
const SILENCE_MS_MAX = 10_000;

function tell(message: FromSession): void {
  process.send?.(message);
}

function end(reason: string): void {
  tell({ kind: "ended", reason });
  process.disconnect();
  process.exit(0);
}

async function prepare(setup: SessionSetup) {
  const scene = parseScene(await readFile(setup.sceneFile));
  const gpu = await openGpu();
  gpu.lost.then(
    (lost) => end(`GPU lost: ${lost.message}`),
    () => end("GPU lost"),
  );
  const { eyeWidthPixels, eyeHeightPixels, frameRateHz } = setup.renderClass;
  const size = { eyeWidthPixels, eyeHeightPixels };
  const renderer = new StereoRenderer({ device: gpu.device, scene, detail: setup.detail, ...size });
  const encoder = await openX264Encoder({
    widthPixels: eyeWidthPixels * 2,
    heightPixels: eyeHeightPixels,
    frameRateHz,
  });
  let frameMs = 0;
  for (let frame = 0; frame < WARM_UP_FRAMES; frame += 1) {
    const startedMs = systemClock.monotonicMs();
    using picture = await renderer.render(FORWARD, 0);
    encoder.encode(picture.pixels, true);
    frameMs = systemClock.monotonicMs() - startedMs;
  }
  tell({ kind: "ready", adapterName: gpu.adapterName, frameMs });
  return { renderer, encoder };
}

const EYE = { offset: { x: 0, y: 0, z: 0 }, fieldOfView: { left: 1, right: 1, up: 1, down: 1 } };
const FORWARD: PoseMessage = {
  poseId: 1,
  sampledAtMs: 0,
  position: { x: 0, y: 1.6, z: 0 },
  orientation: { x: 0, y: 0, z: 0, w: 1 },
  eyes: [EYE, EYE],
};

async function accept(setup: SessionSetup, prepared: Awaited<ReturnType<typeof prepare>>, sdp: string): Promise<void> {
  let transport: Transport | undefined;
  let heardMs = systemClock.monotonicMs();
  const pipeline = new FramePipeline({
    clock: systemClock,
    ...prepared,
    renderClass: setup.renderClass,
    sendFrame: (frameNumber, bytes) => transport?.sendFrame(frameNumber, bytes) ?? false,
  });
  const accepted = await acceptOffer(sdp, setup.media, {
    onPose(pose) {
      heardMs = systemClock.monotonicMs();
      pipeline.offerPose(pose).catch((error: unknown) => end(`frame failed: ${String(error)}`));
    },
    onControl(message) {
      heardMs = systemClock.monotonicMs();
      if (message.type === "keyframe-request") pipeline.requestKeyFrame();
      if (message.type === "session-end") end(message.reason);
    },
    onClosed: end,
  });
  transport = accepted.transport;
  systemClock.every(1000, () => {
    if (systemClock.monotonicMs() - heardMs > SILENCE_MS_MAX) end("client silent");
  });
  tell({ kind: "answer", sdp: accepted.answer });
}

let started: { readonly setup: SessionSetup; readonly prepared: ReturnType<typeof prepare> } | undefined;

async function obey(message: ToSession): Promise<void> {
  switch (message.kind) {
    case "setup":
      started = { setup: message.setup, prepared: prepare(message.setup) };
      await started.prepared;
      return;
    case "offer":
      if (started !== undefined) await accept(started.setup, await started.prepared, message.sdp);
      return;
    case "stop":
      end(message.reason);
  }
}

process.on("message", (message: ToSession) => {
  obey(message).catch((error: unknown) => end(error instanceof Error ? error.message : String(error)));
});
process.on("disconnect", () => process.exit(0));
