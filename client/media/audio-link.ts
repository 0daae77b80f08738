/** The connection that sound comes by: one of its own, offered over the first one's control channel when there is any. */
import { AUDIO_CHANNEL, type ControlMessage, SDP_CHARACTERS_MAX } from "#contracts/media/control.ts";
import type { IceServer } from "#domain/session/ice-server.ts";
import type { ClientClock } from "../clock.ts";
import { makeOffer, openPeer, UNRELIABLE } from "./peer.ts";

export interface AudioLink {
  /** True where the message was for it alone. */
  take(message: ControlMessage): boolean;
  close(): void;
}

export interface AudioLinkPorts {
  readonly clock: ClientClock;
  readonly iceServers: readonly IceServer[];
  readonly say: (message: ControlMessage) => void;
  readonly onAudio: (bytes: Uint8Array<ArrayBuffer>) => void;
}

export function createAudioLink({ clock, iceServers, say, onAudio }: AudioLinkPorts): AudioLink {
  let peer: RTCPeerConnection | undefined;
  let isClosed = false;
  const offer = async (offered: RTCPeerConnection): Promise<void> => {
    const channel = offered.createDataChannel(AUDIO_CHANNEL, UNRELIABLE);
    channel.binaryType = "arraybuffer";
    channel.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
      if (data instanceof ArrayBuffer) onAudio(new Uint8Array(data));
    });
    const sdp = await makeOffer(offered, clock);
    if (isClosed || sdp === undefined || sdp.length > SDP_CHARACTERS_MAX) return;
    say({ type: "audio-offer", sdp });
  };
  /** One that was lost is offered anew with the next wish for sound. */
  const open = (): void => {
    const isThere = peer !== undefined && peer.connectionState !== "failed" && peer.connectionState !== "closed";
    if (isThere || isClosed) return;
    peer?.close();
    const opened = openPeer(iceServers);
    peer = opened;
    offer(opened).catch(() => opened.close());
  };
  return {
    take(message) {
      if (message.type === "audio-state" && message.isThere) open();
      if (message.type !== "audio-answer") return false;
      const answered = peer;
      answered?.setRemoteDescription({ type: "answer", sdp: message.sdp }).catch(() => answered.close());
      return true;
    },
    close() {
      isClosed = true;
      peer?.close();
    },
  };
}
