/** A VR client without a browser: offers or connects, sends poses at its own pace, gives the frames that come back. */
import nodeDataChannel from "node-datachannel";
import WebSocket from "ws";
import { CHANNELS, type ControlMessage, decodeControl, encodeControl } from "#contracts/media/control.ts";
import { FrameAssembler } from "#contracts/media/fragments.ts";
import { decodeFrame, type Frame } from "#contracts/media/frame.ts";
import { encodePose, type PoseMessage } from "#contracts/media/pose.ts";
import { systemClock } from "#platform/clock.ts";

const POSE_MS = 30;

/** What a viewer has received, newest last. */
export interface Received {
  readonly frames: Frame[];
  readonly control: ControlMessage[];
}

export interface Viewer extends AsyncDisposable {
  readonly received: Received;
  /** Looks there from the next pose on; 0 is ahead, positive turns to the left. Gives the last pose before. */
  turnTo(yawDegrees: number): number;
  say(message: ControlMessage): void;
  /** Resolves once the agent's side has closed. */
  readonly closed: Promise<void>;
}

export interface OfferingViewer extends Viewer {
  readonly offerSdp: string;
  answer(sdp: string): void;
}

/** The time a pose of this number claims to have been sampled at. */
export const sampledAtMsOf = (poseId: number): number => 1_000 + poseId;

/** By data channels. */
export async function offerViewer(): Promise<OfferingViewer> {
  const peer = new nodeDataChannel.PeerConnection("viewer", { iceServers: [], bindAddress: "127.0.0.1" });
  const gathered = new Promise<void>((resolve) => {
    peer.onGatheringStateChange((state) => {
      if (state === "complete") resolve();
    });
  });
  const { promise: closed, resolve: noteClosed } = Promise.withResolvers<void>();
  peer.onStateChange((state) => {
    if (state === "closed" || state === "failed" || state === "disconnected") noteClosed();
  });
  const unreliable = { unordered: true, maxRetransmits: 0 };
  const poses = peer.createDataChannel(CHANNELS.poses, unreliable);
  const frames = peer.createDataChannel(CHANNELS.frames, unreliable);
  const control = peer.createDataChannel(CHANNELS.control);
  // The library lets go of a channel, and of the process, only where somebody hears of the channel's end.
  const ended = [poses, frames, control].map((channel) => new Promise<void>((resolve) => channel.onClosed(resolve)));
  const received: Received = { frames: [], control: [] };
  const assembler = new FrameAssembler();
  frames.onMessage((message) => {
    const whole = typeof message === "string" ? undefined : assembler.add(new Uint8Array(message));
    if (whole !== undefined) received.frames.push(decodeFrame(whole.bytes));
  });
  control.onMessage((message) => {
    const said = decodeControl(String(message));
    received.control.push(said);
    if (said.type === "echo-request") control.sendMessage(encodeControl({ type: "echo", content: said.content }));
  });
  const sender = sendPoses((bytes) => {
    try {
      if (poses.isOpen() && frames.isOpen()) poses.sendMessageBinary(bytes);
    } catch {
      // The other side has just gone, which `closed` tells.
    }
  });
  await gathered;
  return {
    // An agent that knew where this peer is would reach it before it has the answer, whose fingerprint the library
    // then finds missing: a race that browsers do not have.
    offerSdp: (peer.localDescription()?.sdp ?? "").replace(/^a=candidate:.*\r\n/gm, ""),
    answer: (sdp) => peer.setRemoteDescription(sdp, "answer"),
    received,
    closed,
    turnTo: sender.turnTo,
    say: (message) => void control.sendMessage(encodeControl(message)),
    async [Symbol.asyncDispose]() {
      sender.stop();
      for (const channel of [poses, frames, control]) channel.close();
      peer.close();
      await Promise.all(ended);
    },
  };
}

/** By WebSocket. Throws where the handshake is refused. */
export async function connectViewer(url: string): Promise<Viewer> {
  const socket = new WebSocket(url);
  const received: Received = { frames: [], control: [] };
  socket.on("message", (content, isBinary) => {
    if (isBinary && content instanceof Buffer) received.frames.push(decodeFrame(content));
    else received.control.push(decodeControl(String(content)));
  });
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });
  const sender = sendPoses((bytes) => {
    if (socket.readyState === socket.OPEN) socket.send(bytes);
  });
  return {
    received,
    closed,
    turnTo: sender.turnTo,
    say: (message) => socket.send(encodeControl(message)),
    async [Symbol.asyncDispose]() {
      sender.stop();
      socket.terminate();
    },
  };
}

function sendPoses(send: (bytes: Uint8Array<ArrayBuffer>) => void) {
  let [poseId, yawDegrees] = [0, 0];
  const sending = systemClock.every(POSE_MS, () => {
    poseId += 1;
    send(encodePose(poseOf(poseId, yawDegrees)));
  });
  return {
    turnTo(degrees: number) {
      yawDegrees = degrees;
      return poseId;
    },
    stop: () => sending[Symbol.dispose](),
  };
}

function poseOf(poseId: number, yawDegrees: number): PoseMessage {
  const half = (yawDegrees * Math.PI) / 360;
  const eye = { offset: { x: 0, y: 0, z: 0 }, fieldOfView: { left: 1, right: 1, up: 1, down: 1 } };
  return {
    poseId,
    sampledAtMs: sampledAtMsOf(poseId),
    position: { x: 0, y: 1.6, z: 0 },
    orientation: { x: 0, y: Math.sin(half), z: 0, w: Math.cos(half) },
    eyes: [eye, eye],
  };
}
