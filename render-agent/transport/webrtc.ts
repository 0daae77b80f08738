/** One peer connection over data channels: poses in, fragments of frames out, control both ways. */
import nodeDataChannel from "node-datachannel";
import { CHANNELS, type ControlMessage, decodeControl, encodeControl } from "#contracts/media/control.ts";
import { cutFragments } from "#contracts/media/fragments.ts";
import { decodePose, type PoseMessage } from "#contracts/media/pose.ts";
import { isFailure } from "#domain/failure.ts";
import type { SessionSetup } from "../session/messages.ts";

/** A frame behind this much unsent is late already: it is not sent. */
const BUFFERED_BYTES_MAX = 256 * 1024;

export interface TransportEvents {
  onPose(pose: PoseMessage): void;
  onControl(message: ControlMessage): void;
  onClosed(reason: string): void;
}

export interface Transport extends Disposable {
  /** False when the frame was dropped: the channel is not open or too much waits. */
  sendFrame(frameNumber: number, bytes: Uint8Array): boolean;
}

/** Resolves with the answer, its candidates included. */
export function acceptOffer(
  sdp: string,
  media: SessionSetup["media"],
  events: TransportEvents,
): Promise<{ readonly answer: string; readonly transport: Transport }> {
  const range = media.port === 0 ? {} : { portRangeBegin: media.port, portRangeEnd: media.port };
  const peer = new nodeDataChannel.PeerConnection("agent", {
    iceServers: [],
    bindAddress: media.bindAddress,
    ...range,
  });
  // Held here: a channel nobody refers to is collected, and closed with it.
  const channels = new Map<string, nodeDataChannel.DataChannel>();
  peer.onDataChannel((channel) => {
    const label = channel.getLabel();
    if (!Object.values(CHANNELS).some((known) => known === label) || channels.has(label)) return channel.close();
    channels.set(label, channel);
    channel.onMessage((message) => receive(label, message, events));
  });
  peer.onStateChange((state) => {
    if (state === "failed" || state === "closed" || state === "disconnected") events.onClosed(`connection ${state}`);
  });
  const transport: Transport = {
    sendFrame(frameNumber, bytes) {
      const frames = channels.get(CHANNELS.frames);
      if (frames === undefined || !frames.isOpen() || frames.bufferedAmount() > BUFFERED_BYTES_MAX) return false;
      for (const fragment of cutFragments(frameNumber, bytes)) frames.sendMessageBinary(fragment);
      return true;
    },
    [Symbol.dispose]() {
      const control = channels.get(CHANNELS.control);
      if (control?.isOpen() === true) control.sendMessage(encodeControl({ type: "session-end", reason: "ended" }));
      for (const channel of channels.values()) channel.close();
      peer.close();
    },
  };
  return new Promise((resolve) => {
    peer.onGatheringStateChange((state) => {
      const local = state === "complete" ? peer.localDescription() : null;
      if (local !== null) resolve({ answer: advertised(local.sdp, media.advertise), transport });
    });
    peer.setRemoteDescription(sdp, "offer");
  });
}

/** A client's malformed message is dropped: it costs that client a frame, nobody anything else. */
function receive(label: string, message: string | Buffer | ArrayBuffer, events: TransportEvents): void {
  try {
    if (label === CHANNELS.poses && typeof message !== "string") events.onPose(decodePose(new Uint8Array(message)));
    if (label === CHANNELS.control && typeof message === "string") events.onControl(decodeControl(message));
  } catch (error) {
    if (!isFailure(error, "media-invalid")) throw error;
  }
}

/** Rewrites address and port of the host candidates (RFC 8839 section 5.1) to where clients reach them. Pure. */
export function advertised(sdp: string, advertise: SessionSetup["media"]["advertise"]): string {
  if (advertise === undefined) return sdp;
  const candidate = /^(a=candidate:\S+ \d+ \S+ \d+ )\S+ (\d+)( typ host.*)$/gm;
  return sdp.replace(
    candidate,
    (_line, head: string, port: string, tail: string) =>
      `${head}${advertise.address} ${Number(port) + advertise.portOffset}${tail}`,
  );
}
