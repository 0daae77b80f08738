/** A VR client without a browser: offers or connects, sends poses at its own pace, gives the frames that come back. */
import WebSocket from "ws";
import { type ControlMessage, decodeControl, encodeControl, STRIPES_MAX } from "#contracts/media/control.ts";
import type { ControllerPose } from "#contracts/media/controllers.ts";
import { decodeFrame, type Frame } from "#contracts/media/frame.ts";
import { encodePose, type PoseMessage } from "#contracts/media/pose.ts";
import { systemClock } from "#platform/clock.ts";
import { offerReceiver } from "#render-agent/transport/receiver.ts";

const POSE_MS = 30;

/** What each of its poses asks for. */
type PoseWishes = Pick<PoseMessage, "asksJpeg">;

/** What a viewer has received, newest last. */
export interface Received {
  readonly frames: Frame[];
  readonly control: ControlMessage[];
}

export interface Viewer extends AsyncDisposable {
  readonly received: Received;
  /** Looks there from the next pose on; 0 is ahead, positive turns to the left. Gives the last pose before. */
  turnTo(yawDegrees: number): number;
  /** Holds these from the next pose on. Gives the last pose before. */
  hold(controllers: readonly ControllerPose[]): number;
  /** Asks for pictures that are fine where eyes look, or no longer. Gives the last pose before. */
  askFoveation(asks: boolean): number;
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

/** By data channels, as many connections as the agent asks for. */
export async function offerViewer(wishes: PoseWishes = {}): Promise<OfferingViewer> {
  const received: Received = { frames: [], control: [] };
  const receiver = await offerReceiver({
    clock: systemClock,
    connectionsMax: STRIPES_MAX,
    onFrame: ({ bytes }) => void received.frames.push(decodeFrame(bytes)),
    onControl: (message) => void received.control.push(message),
  });
  const sender = sendPoses((bytes) => receiver.sendPose(bytes), wishes);
  return {
    offerSdp: receiver.offerSdp,
    answer: receiver.answer,
    received,
    closed: receiver.closed,
    turnTo: sender.turnTo,
    hold: sender.hold,
    askFoveation: sender.askFoveation,
    say: receiver.say,
    async [Symbol.asyncDispose]() {
      sender.stop();
      await receiver[Symbol.asyncDispose]();
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
    hold: sender.hold,
    askFoveation: sender.askFoveation,
    say: (message) => socket.send(encodeControl(message)),
    async [Symbol.asyncDispose]() {
      sender.stop();
      socket.terminate();
    },
  };
}

function sendPoses(send: (bytes: Uint8Array<ArrayBuffer>) => void, wishes: PoseWishes = {}) {
  let [poseId, yawDegrees] = [0, 0];
  let held: readonly ControllerPose[] = [];
  let asksFoveation = false;
  const sending = systemClock.every(POSE_MS, () => {
    poseId += 1;
    send(encodePose({ ...poseOf(poseId, yawDegrees), ...wishes, controllers: held, asksFoveation }));
  });
  return {
    turnTo(degrees: number) {
      yawDegrees = degrees;
      return poseId;
    },
    hold(controllers: readonly ControllerPose[]) {
      held = controllers;
      return poseId;
    },
    askFoveation(asks: boolean) {
      asksFoveation = asks;
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
    asksDepth: true,
  };
}
