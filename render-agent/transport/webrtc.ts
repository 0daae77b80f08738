/** One peer connection over data channels: poses in, fragments of frames out, control both ways. */
import nodeDataChannel from "node-datachannel";
import { CHANNELS, encodeControl } from "#contracts/media/control.ts";
import { cutFragments } from "#contracts/media/fragments.ts";
import { Failure } from "#domain/failure.ts";
import type { MediaPlace } from "../session/messages.ts";
import { advertised, withoutCandidates } from "./sdp.ts";
import { BUFFERED_BYTES_MAX, type Transport, type TransportEvents, takeControl, takePose } from "./transport.ts";

export interface AcceptedOffer {
  readonly answerSdp: string;
  readonly transport: Transport;
}

type Peer = InstanceType<typeof nodeDataChannel.PeerConnection>;
type Channels = ReadonlyMap<string, nodeDataChannel.DataChannel>;

/** Resolves with the answer, its candidates included. Throws `media-invalid` for an offer that is none. */
export async function acceptOffer(sdp: string, media: MediaPlace, events: TransportEvents): Promise<AcceptedOffer> {
  const fixed = { portRangeBegin: media.port, portRangeEnd: media.port, enableIceUdpMux: true };
  const peer = new nodeDataChannel.PeerConnection("agent", {
    iceServers: [],
    bindAddress: media.bindAddress,
    ...(media.port === 0 ? {} : fixed),
  });
  // Held by what is returned: a channel nobody refers to is collected, and closed with it.
  const channels = new Map<string, nodeDataChannel.DataChannel>();
  const closing = new AbortController();
  const close = (): void => {
    if (closing.signal.aborted) return;
    closing.abort();
    for (const channel of channels.values()) channel.close();
    peer.close();
  };
  peer.onDataChannel((channel) => {
    // Without it the library never lets go of the channel.
    channel.onClosed(() => undefined);
    const label = channel.getLabel();
    if (!Object.values(CHANNELS).some((known) => known === label) || channels.has(label)) return channel.close();
    channels.set(label, channel);
    channel.onMessage((message) => receive(label, message, events));
  });
  peer.onStateChange((state) => {
    if (state !== "failed" && state !== "closed" && state !== "disconnected") return;
    if (closing.signal.aborted) return;
    close();
    events.onClosed(`connection ${state}`);
  });
  const offer = media.advertise === undefined ? sdp : withoutCandidates(sdp);
  try {
    const answer = await answerTo(peer, offer);
    return { answerSdp: advertised(answer, media.advertise), transport: transportOf(channels, close) };
  } catch (error) {
    close();
    throw error;
  }
}

/** The caller bounds the wait. */
function answerTo(peer: Peer, offerSdp: string): Promise<string> {
  return new Promise((resolve, reject) => {
    peer.onGatheringStateChange((state) => {
      const local = state === "complete" ? peer.localDescription() : null;
      if (local !== null) resolve(local.sdp);
    });
    try {
      peer.setRemoteDescription(offerSdp, "offer");
    } catch (cause) {
      reject(new Failure("media-invalid", "the offer is no session description with data channels", { cause }));
    }
  });
}

function transportOf(channels: Channels, close: () => void): Transport {
  const open = (label: string): nodeDataChannel.DataChannel | undefined => {
    const channel = channels.get(label);
    return channel?.isOpen() === true ? channel : undefined;
  };
  return {
    sendFrame(frameNumber, bytes) {
      const frames = open(CHANNELS.frames);
      if (frames === undefined || frames.bufferedAmount() > BUFFERED_BYTES_MAX) return false;
      return isSent(() => {
        for (const fragment of cutFragments(frameNumber, bytes)) frames.sendMessageBinary(fragment);
      });
    },
    sendControl(message) {
      const control = open(CHANNELS.control);
      isSent(() => control?.sendMessage(encodeControl(message)));
    },
    // SCTP's estimate has the delay of acknowledgements in it (RFC 9260 section 6.2), up to the time between two frames.
    measureRtt: () => 0,
    close,
  };
}

/** A channel whose peer has just gone counts as open and throws: what was for it is dropped. */
function isSent(send: () => void): boolean {
  try {
    send();
    return true;
  } catch {
    return false;
  }
}

function receive(label: string, message: string | Buffer | ArrayBuffer, events: TransportEvents): void {
  if (label === CHANNELS.poses && typeof message !== "string") takePose(new Uint8Array(message), events);
  else if (label === CHANNELS.control && typeof message === "string") takeControl(message, events);
  else events.onInvalid();
}
