/** The further connections that an agent asks for: each is offered over the first one's control channel, and brings frames only. */
import { CHANNELS, type ControlMessage, SDP_CHARACTERS_MAX } from "#contracts/media/control.ts";
import type { IceServer } from "#domain/session/ice-server.ts";
import type { ClientClock } from "../clock.ts";
import { makeOffer, openPeer, UNRELIABLE } from "./peer.ts";

export interface Stripes {
  /** True where the message was for them. */
  take(message: ControlMessage): boolean;
  close(): void;
}

export interface StripesPorts {
  readonly clock: ClientClock;
  readonly iceServers: readonly IceServer[];
  readonly say: (message: ControlMessage) => void;
  readonly onFragment: (bytes: Uint8Array) => void;
}

export function createStripes({ clock, iceServers, say, onFragment }: StripesPorts): Stripes {
  /** By number less one. One that fails stays: the agent has the others. */
  const peers: RTCPeerConnection[] = [];
  let isClosed = false;
  const offer = async (stripe: number, peer: RTCPeerConnection): Promise<void> => {
    const frames = peer.createDataChannel(CHANNELS.frames, UNRELIABLE);
    frames.binaryType = "arraybuffer";
    frames.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
      if (data instanceof ArrayBuffer) onFragment(new Uint8Array(data));
    });
    const sdp = await makeOffer(peer, clock);
    if (isClosed || sdp === undefined || sdp.length > SDP_CHARACTERS_MAX) return;
    say({ type: "stripe-offer", stripe, sdp });
  };
  const widen = (connections: number): void => {
    while (!isClosed && peers.length + 1 < connections) {
      const peer = openPeer(iceServers);
      const stripe = peers.push(peer);
      offer(stripe, peer).catch(() => peer.close());
    }
  };
  return {
    take(message) {
      if (message.type === "stripe-request") widen(message.connections);
      else if (message.type !== "stripe-answer") return false;
      else {
        const peer = peers[message.stripe - 1];
        peer?.setRemoteDescription({ type: "answer", sdp: message.sdp }).catch(() => peer.close());
      }
      return true;
    },
    close() {
      isClosed = true;
      for (const peer of peers) peer.close();
    },
  };
}
