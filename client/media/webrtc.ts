/** WebRTC data channels to an agent: the client offers, all candidates in the offer; frames arrive as fragments. */
import { CHANNELS, encodeControl } from "#contracts/media/control.ts";
import { type AssembledFrame, FrameAssembler } from "#contracts/media/fragments.ts";
import { POSE_BYTES } from "#contracts/media/pose.ts";
import { isFailure } from "#domain/failure.ts";
import type { ClientClock } from "../clock.ts";
import { ClientFailure } from "../failure.ts";
import { receiveControl } from "./control-inbox.ts";
import { type MediaTransport, type PendingTransport, POSES_WAITING_MAX, type TransportEvents } from "./transport.ts";

/** Host candidates are there in milliseconds; one interface that does not answer must not hold the rest. */
const GATHERING_MS_MAX = 500;
/** A last message is still sent in it. */
const CLOSING_MS = 250;
const UNRELIABLE = { ordered: false, maxRetransmits: 0 };

export async function offerWebRtc(clock: ClientClock): Promise<PendingTransport> {
  const peer = new RTCPeerConnection({ iceServers: [] });
  const channels = {
    poses: peer.createDataChannel(CHANNELS.poses, UNRELIABLE),
    frames: peer.createDataChannel(CHANNELS.frames, UNRELIABLE),
    control: peer.createDataChannel(CHANNELS.control),
  };
  channels.frames.binaryType = "arraybuffer";
  await peer.setLocalDescription();
  await gatherCandidates(peer, clock.deadline(GATHERING_MS_MAX));
  return {
    offerSdp: peer.localDescription?.sdp,
    async open({ answerSdp }, events, signal) {
      if (answerSdp === undefined) throw new ClientFailure("upstream-malformed", "the edge's answer has no SDP");
      listen(peer, channels, events);
      await peer.setRemoteDescription({ type: "answer", sdp: answerSdp });
      await Promise.all(Object.values(channels).map((channel) => openChannel(channel, signal)));
      return transportOf(peer, channels, clock);
    },
    close: () => peer.close(),
  };
}

type Channels = Readonly<Record<keyof typeof CHANNELS, RTCDataChannel>>;

function listen(peer: RTCPeerConnection, channels: Channels, events: TransportEvents): void {
  const assembler = new FrameAssembler();
  channels.frames.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
    const whole = data instanceof ArrayBuffer ? assemble(assembler, new Uint8Array(data), events) : undefined;
    if (whole !== undefined) events.onFrame(whole.bytes, whole.repaired);
  });
  channels.control.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
    if (typeof data === "string") receiveControl(data, events);
  });
  let closed = false;
  const onClosed = (reason: string): void => {
    if (closed) return;
    closed = true;
    events.onClosed(reason);
  };
  for (const channel of Object.values(channels)) {
    channel.addEventListener("close", () => onClosed(`the ${channel.label} channel was closed`));
  }
  peer.addEventListener("connectionstatechange", () => {
    if (peer.connectionState === "failed") onClosed("the connection failed");
  });
}

function assemble(
  assembler: FrameAssembler,
  fragment: Uint8Array,
  events: Pick<TransportEvents, "onInvalid">,
): AssembledFrame | undefined {
  try {
    return assembler.add(fragment);
  } catch (error) {
    if (!isFailure(error, "media-invalid")) throw error;
    events.onInvalid();
    return undefined;
  }
}

function transportOf(peer: RTCPeerConnection, channels: Channels, clock: ClientClock): MediaTransport {
  const { poses, control } = channels;
  return {
    sendPose(bytes) {
      if (poses.readyState !== "open" || poses.bufferedAmount > POSES_WAITING_MAX * POSE_BYTES) return false;
      poses.send(bytes);
      return true;
    },
    sendControl(message) {
      if (control.readyState === "open") control.send(encodeControl(message));
    },
    close() {
      for (const channel of Object.values(channels)) channel.close();
      void clock.sleep(CLOSING_MS).then(() => peer.close());
    },
  };
}

function gatherCandidates(peer: RTCPeerConnection, signal: AbortSignal): Promise<void> {
  if (peer.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
    peer.addEventListener("icegatheringstatechange", () => {
      if (peer.iceGatheringState === "complete") resolve();
    });
  });
}

function openChannel(channel: RTCDataChannel, signal: AbortSignal): Promise<void> {
  if (channel.readyState === "open") return Promise.resolve();
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    channel.addEventListener("open", () => resolve(), { once: true });
    const onClose = (): void => reject(new ClientFailure("media-unreachable", `the ${channel.label} channel closed`));
    channel.addEventListener("close", onClose, { once: true });
  });
}
