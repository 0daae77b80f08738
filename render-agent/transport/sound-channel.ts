/** The connection that a session's sound goes by: one of its own, which the client offers, so that no picture is before it. */
import { AUDIO_CHANNEL, type ControlMessage } from "#contracts/media/control.ts";
import { isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { MediaPlace } from "../session/messages.ts";
import { type AnsweredPeer, answerPeer, isSent } from "./answered-peer.ts";

/** Of a client's connection: one at its start, and some where a path is lost. */
const AUDIO_OFFERS_MAX = 8;

export interface SoundChannelOptions {
  readonly media: MediaPlace;
  readonly clock: Pick<Clock, "timer">;
  readonly say: (message: ControlMessage) => boolean;
  readonly onInvalid: () => void;
  readonly signal: AbortSignal;
}

export class SoundChannel {
  readonly #options: SoundChannelOptions;
  #peer: AnsweredPeer | undefined;
  #offers = 0;

  constructor(options: SoundChannelOptions) {
    this.#options = options;
  }

  /** The new connection takes the place of the one before. */
  async take(sdp: string): Promise<void> {
    const { media, clock, say, onInvalid, signal } = this.#options;
    if (signal.aborted) return;
    this.#offers += 1;
    const offer = this.#offers;
    if (offer > AUDIO_OFFERS_MAX) return onInvalid();
    this.#peer?.close();
    this.#peer = undefined;
    const onGone = (): void => {
      if (offer === this.#offers) this.#peer = undefined;
    };
    try {
      const offered = { sdp, media, clock, labels: [AUDIO_CHANNEL], signal };
      const peer = await answerPeer(offered, { onMessage: onInvalid, onGone });
      if (offer !== this.#offers) return peer.close();
      this.#peer = peer;
      say({ type: "audio-answer", sdp: peer.answerSdp });
    } catch (error) {
      if (!isFailure(error, "media-invalid")) throw error;
      onInvalid();
    }
  }

  /** False where it would wait, or there is no connection: a block that is late is not heard. */
  send(bytes: Uint8Array<ArrayBuffer>): boolean {
    const channel = this.#peer?.openChannel(AUDIO_CHANNEL);
    if (channel === undefined || channel.bufferedAmount() > 0) return false;
    return isSent(() => channel.sendMessageBinary(bytes));
  }
}
