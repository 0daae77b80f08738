/** One peer connection over data channels: poses in, fragments of frames out, control both ways. */
import nodeDataChannel from "node-datachannel";
import { CHANNELS, encodeControl } from "#contracts/media/control.ts";
import { cutFragments } from "#contracts/media/fragments.ts";
import { Failure } from "#domain/failure.ts";
import type { MediaPlace } from "../session/messages.ts";
import { RoundTrips, type RoundTripTools } from "./round-trips.ts";
import { advertised, withoutCandidates } from "./sdp.ts";
import { BUFFERED_BYTES_MAX, type Transport, type TransportEvents, takeControl, takePose } from "./transport.ts";

export interface AcceptedOffer {
  readonly answerSdp: string;
  readonly transport: Transport;
}

type Peer = InstanceType<typeof nodeDataChannel.PeerConnection>;
type Channels = ReadonlyMap<string, nodeDataChannel.DataChannel>;

/** Resolves with the answer, its candidates included. Throws `media-invalid` for an offer that is none. */
export async function acceptOffer(
  sdp: string,
  media: MediaPlace,
  events: TransportEvents,
  tools: RoundTripTools,
): Promise<AcceptedOffer> {
  const fixed = { portRangeBegin: media.port, portRangeEnd: media.port, enableIceUdpMux: true };
  const peer = new nodeDataChannel.PeerConnection("agent", {
    iceServers: [],
    bindAddress: media.bindAddress,
    ...(media.port === 0 ? {} : fixed),
  });
  // Held by what is returned: a channel nobody refers to is collected, and closed with it.
  const channels = new Map<string, nodeDataChannel.DataChannel>();
  const roundTrips = new RoundTrips((content) => requestEcho(channels, content), tools);
  const closing = new AbortController();
  const close = (): void => {
    if (closing.signal.aborted) return;
    closing.abort();
    for (const channel of channels.values()) channel.close();
    peer.close();
  };
  const heard: TransportEvents = {
    ...events,
    onControl(message) {
      if (message.type === "echo") roundTrips.take(Buffer.from(message.content, "base64"));
      events.onControl(message);
    },
  };
  peer.onDataChannel((channel) => {
    // Without it the library never lets go of the channel.
    channel.onClosed(() => undefined);
    const label = channel.getLabel();
    if (!Object.values(CHANNELS).some((known) => known === label) || channels.has(label)) return channel.close();
    channels.set(label, channel);
    channel.onMessage((message) => receive(label, message, heard));
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
    return { answerSdp: advertised(answer, media.advertise), transport: transportOf(channels, roundTrips, close) };
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

function openChannel(channels: Channels, label: string): nodeDataChannel.DataChannel | undefined {
  const channel = channels.get(label);
  return channel?.isOpen() === true ? channel : undefined;
}

/** SCTP's own estimate has the delay of acknowledgements in it (RFC 9260 section 6.2), up to the time between two frames. */
function requestEcho(channels: Channels, content: Buffer): boolean {
  const control = openChannel(channels, CHANNELS.control);
  if (control === undefined) return false;
  return isSent(() =>
    control.sendMessage(encodeControl({ type: "echo-request", content: content.toString("base64") })),
  );
}

function transportOf(channels: Channels, roundTrips: RoundTrips, close: () => void): Transport {
  return {
    sendFrame(frameNumber, bytes) {
      const frames = openChannel(channels, CHANNELS.frames);
      if (frames === undefined || frames.bufferedAmount() > BUFFERED_BYTES_MAX) return false;
      return isSent(() => {
        for (const fragment of cutFragments(frameNumber, bytes)) frames.sendMessageBinary(fragment);
      });
    },
    sendControl(message) {
      const control = openChannel(channels, CHANNELS.control);
      isSent(() => control?.sendMessage(encodeControl(message)));
    },
    measureRtt: () => roundTrips.measure(),
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
