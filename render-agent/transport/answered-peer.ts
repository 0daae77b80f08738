/** One peer connection that a client offered: answers at the session's port, and has the channels that the client opens. */
import nodeDataChannel from "node-datachannel";
import { CONTROL_BYTES_MAX } from "#contracts/media/control.ts";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { MediaPlace } from "../session/messages.ts";
import { libraryIceServers } from "./ice-servers.ts";
import { advertised, withoutCandidates } from "./sdp.ts";

/**
 * What an association's own buffer holds, sent and not acknowledged or still to be sent: its part of three frames. Only
 * what does not fit is counted as waiting, and the library's own 1 MiB would be seconds. It is never less than the
 * longest message.
 */
const SEND_BUFFER_BYTES_MAX = 32 * 1024;
nodeDataChannel.setSctpSettings({ sendBufferSize: SEND_BUFFER_BYTES_MAX });

/** Host candidates are there at once; a server that does not answer must not hold them back. */
const GATHERING_MS_MAX = 500;

export type DataChannel = nodeDataChannel.DataChannel;

export interface PeerEvents {
  onMessage(label: string, message: string | Buffer | ArrayBuffer): void;
  /** Once, and not after `close`. */
  onGone(state: string): void;
}

export interface AnsweredPeer {
  /** With all candidates. */
  readonly answerSdp: string;
  /** `undefined` while it is not open, and when it is no more. */
  openChannel(label: string): DataChannel | undefined;
  /** Idempotent. */
  close(): void;
}

export interface PeerOffer {
  readonly sdp: string;
  readonly media: MediaPlace;
  readonly clock: Pick<Clock, "timer">;
  /** Channels of other labels are closed. */
  readonly labels: readonly string[];
  /** Closes it, answered or not yet. */
  readonly signal: AbortSignal;
}

type Peer = InstanceType<typeof nodeDataChannel.PeerConnection>;

/** Throws `media-invalid` for an offer that is none; the caller bounds the wait. */
export async function answerPeer(offer: PeerOffer, events: PeerEvents): Promise<AnsweredPeer> {
  const { sdp, media, clock, labels, signal } = offer;
  // Several connections share a fixed port, told apart by what the other end is.
  const fixed = { portRangeBegin: media.port, portRangeEnd: media.port, enableIceUdpMux: true };
  const peer = new nodeDataChannel.PeerConnection("agent", {
    iceServers: libraryIceServers(media.iceServers ?? []),
    bindAddress: media.bindAddress,
    maxMessageSize: CONTROL_BYTES_MAX,
    ...(media.port === 0 ? {} : fixed),
  });
  // Held by what is returned: a channel nobody refers to is collected, and closed with it.
  const channels = new Map<string, DataChannel>();
  let isClosed = false;
  const close = (): void => {
    if (isClosed) return;
    isClosed = true;
    signal.removeEventListener("abort", close);
    for (const channel of channels.values()) channel.close();
    peer.close();
  };
  signal.addEventListener("abort", close, { once: true });
  peer.onDataChannel((channel) => {
    // Without it the library never lets go of the channel.
    channel.onClosed(() => undefined);
    const label = channel.getLabel();
    if (!labels.includes(label) || channels.has(label)) return channel.close();
    channels.set(label, channel);
    channel.onMessage((message) => events.onMessage(label, message));
  });
  peer.onStateChange((state) => {
    if (state !== "failed" && state !== "closed" && state !== "disconnected") return;
    if (isClosed) return;
    close();
    events.onGone(state);
  });
  try {
    const answer = await answerTo(peer, media.advertise === undefined ? sdp : withoutCandidates(sdp), clock);
    return {
      answerSdp: advertised(answer, media.advertise),
      openChannel(label) {
        const channel = channels.get(label);
        return channel?.isOpen() === true ? channel : undefined;
      },
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

async function answerTo(peer: Peer, offerSdp: string, clock: Pick<Clock, "timer">): Promise<string> {
  const { promise: answer, resolve, reject } = Promise.withResolvers<string>();
  const give = (): void => {
    const local = peer.localDescription();
    if (local !== null) resolve(local.sdp);
  };
  using _limit = clock.timer(GATHERING_MS_MAX, give);
  peer.onGatheringStateChange((state) => {
    if (state === "complete") give();
  });
  try {
    peer.setRemoteDescription(offerSdp, "offer");
  } catch (cause) {
    reject(new Failure("media-invalid", "the offer is no session description with data channels", { cause }));
  }
  return await answer;
}

/** A channel whose peer has just gone counts as open and throws: what was for it is dropped. */
export function isSent(send: () => void): boolean {
  try {
    send();
    return true;
  } catch {
    return false;
  }
}
