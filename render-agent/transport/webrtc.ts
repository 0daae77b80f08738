/** A session by data channels: poses in and control both ways by its first connection, fragments of frames by all of them, sound by one of its own. */
import { CHANNELS, type ControlMessage, encodeControl } from "#contracts/media/control.ts";
import type { Clock } from "#platform/clock.ts";
import type { MediaPlace } from "../session/messages.ts";
import { type AnsweredPeer, answerPeer, isSent } from "./answered-peer.ts";
import { ParityShare } from "./parity-share.ts";
import { RoundTrips, type RoundTripTools } from "./round-trips.ts";
import { SoundChannel } from "./sound-channel.ts";
import { Stripes } from "./stripes.ts";
import { CONTROL_WAITING_BYTES_MAX, type Transport, type TransportEvents, takeControl, takePose } from "./transport.ts";

export interface WebRtcTools extends RoundTripTools {
  readonly clock: Pick<Clock, "monotonicMs" | "timer">;
}

export interface AcceptedOffer {
  readonly answerSdp: string;
  readonly transport: Transport;
}

/** Resolves with the answer, its candidates included. Throws `media-invalid` for an offer that is none. */
export async function acceptOffer(
  sdp: string,
  media: MediaPlace,
  events: TransportEvents,
  tools: WebRtcTools,
): Promise<AcceptedOffer> {
  const closing = new AbortController();
  const { signal } = closing;
  const { clock } = tools;
  const close = (): void => closing.abort();
  let first: AnsweredPeer | undefined;
  const say = (message: ControlMessage): boolean => {
    const control = first?.openChannel(CHANNELS.control);
    if (control === undefined || control.bufferedAmount() > CONTROL_WAITING_BYTES_MAX) return false;
    return isSent(() => control.sendMessage(encodeControl(message)));
  };
  // SCTP's own estimate has the delay of acknowledgements in it (RFC 9260 section 6.2), up to the time between two frames.
  const roundTrips = new RoundTrips(
    (content) => say({ type: "echo-request", content: content.toString("base64") }),
    tools,
  );
  const stripes = new Stripes({
    ...{ media, clock },
    first: { openChannel: (label) => first?.openChannel(label) },
    say,
    onInvalid: () => events.onInvalid(),
    signal,
  });
  const sound = new SoundChannel({ media, clock, say, onInvalid: () => events.onInvalid(), signal });
  const parity = new ParityShare();
  const heard: TransportEvents = {
    ...events,
    onControl(message) {
      if (message.type === "echo") roundTrips.take(Buffer.from(message.content, "base64"));
      else if (message.type === "stripe-offer") void stripes.take(message.stripe, message.sdp);
      else if (message.type === "audio-offer") void sound.take(message.sdp);
      else if (message.type === "loss-report")
        parity.add({ received: message.fragmentsReceived, lost: message.fragmentsLost });
      events.onControl(message);
    },
  };
  first = await answerPeer(
    { sdp, media, clock, labels: Object.values(CHANNELS), signal },
    {
      onMessage: (label, message) => receive(label, message, heard),
      onGone(state) {
        close();
        events.onClosed(`connection ${state}`);
      },
    },
  );
  return {
    answerSdp: first.answerSdp,
    transport: {
      takesFrame: () => stripes.isClear,
      sendFrame: (frameNumber, bytes) => stripes.send(frameNumber, bytes, parity.ratio),
      sendAudio: (bytes) => sound.send(bytes),
      sendControl: (message) => void say(message),
      measureRtt: () => roundTrips.measure(),
      close,
    },
  };
}

function receive(label: string, message: string | Buffer | ArrayBuffer, events: TransportEvents): void {
  if (label === CHANNELS.poses && typeof message !== "string") takePose(new Uint8Array(message), events);
  else if (label === CHANNELS.control && typeof message === "string") takeControl(message, events);
  else events.onInvalid();
}
