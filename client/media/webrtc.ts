/** WebRTC data channels to an agent: the client offers; poses and control go by the first connection, frames come by all, sound by one of its own. */
import { CHANNELS, type ControlMessage, encodeControl } from "#contracts/media/control.ts";
import { POSE_BYTES_MAX } from "#contracts/media/pose.ts";
import type { IceServer } from "#domain/session/ice-server.ts";
import type { ClientClock } from "../clock.ts";
import { ClientFailure } from "../failure.ts";
import { type AudioLink, createAudioLink } from "./audio-link.ts";
import { receiveControl } from "./control-inbox.ts";
import { createFrameInbox, type FrameInbox } from "./frame-inbox.ts";
import { makeOffer, openChannel, openPeer, UNRELIABLE } from "./peer.ts";
import { createStripes, type Stripes } from "./stripes.ts";
import { type MediaTransport, type PendingTransport, POSES_WAITING_MAX, type TransportEvents } from "./transport.ts";

/** A last message is still sent in it. */
const CLOSING_MS = 250;

export async function offerWebRtc(
  clock: ClientClock,
  iceServers: readonly IceServer[] = [],
): Promise<PendingTransport> {
  const peer = openPeer(iceServers);
  const channels = {
    poses: peer.createDataChannel(CHANNELS.poses, UNRELIABLE),
    frames: peer.createDataChannel(CHANNELS.frames, UNRELIABLE),
    control: peer.createDataChannel(CHANNELS.control),
  };
  channels.frames.binaryType = "arraybuffer";
  let stripes: Stripes | undefined;
  let audio: AudioLink | undefined;
  const say = (message: ControlMessage): void => {
    if (channels.control.readyState === "open") channels.control.send(encodeControl(message));
  };
  return {
    offerSdp: await makeOffer(peer, clock),
    async open({ answerSdp }, events, signal) {
      if (answerSdp === undefined) throw new ClientFailure("upstream-malformed", "the edge's answer has no SDP");
      const inbox = createFrameInbox({ clock, events, say });
      const further = createStripes({ clock, iceServers, say, onFragment: inbox.addFragment });
      stripes = further;
      const sound = createAudioLink({ clock, iceServers, say, onAudio: events.onAudio });
      audio = sound;
      listen({ peer, channels, inbox, stripes: further, audio: sound }, events);
      await peer.setRemoteDescription({ type: "answer", sdp: answerSdp });
      await Promise.all(Object.values(channels).map((channel) => openChannel(channel, signal)));
      return {
        sendPose: (bytes) => sendPose(channels.poses, bytes),
        sendControl: say,
        close() {
          further.close();
          sound.close();
          for (const channel of Object.values(channels)) channel.close();
          void clock.sleep(CLOSING_MS).then(() => peer.close());
        },
      } satisfies MediaTransport;
    },
    close() {
      stripes?.close();
      audio?.close();
      peer.close();
    },
  };
}

interface Connected {
  readonly peer: RTCPeerConnection;
  readonly channels: Readonly<Record<keyof typeof CHANNELS, RTCDataChannel>>;
  readonly inbox: FrameInbox;
  readonly stripes: Stripes;
  readonly audio: AudioLink;
}

function listen({ peer, channels, inbox, stripes, audio }: Connected, events: TransportEvents): void {
  channels.frames.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
    if (data instanceof ArrayBuffer) inbox.addFragment(new Uint8Array(data));
  });
  const onControl = (message: ControlMessage): void => {
    if (!stripes.take(message) && !audio.take(message)) events.onControl(message);
  };
  channels.control.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
    if (typeof data === "string") receiveControl(data, { onControl, onInvalid: events.onInvalid });
  });
  let closed = false;
  const onClosed = (reason: string): void => {
    if (closed) return;
    closed = true;
    stripes.close();
    audio.close();
    events.onClosed(reason);
  };
  for (const channel of Object.values(channels)) {
    channel.addEventListener("close", () => onClosed(`the ${channel.label} channel was closed`));
  }
  peer.addEventListener("connectionstatechange", () => {
    if (peer.connectionState === "failed") onClosed("the connection failed");
  });
}

/** False where it would have to wait. */
function sendPose(poses: RTCDataChannel, bytes: Uint8Array<ArrayBuffer>): boolean {
  if (poses.readyState !== "open" || poses.bufferedAmount > POSES_WAITING_MAX * POSE_BYTES_MAX) return false;
  poses.send(bytes);
  return true;
}
