/** The connections that a session's frames go by: the first, and those which the client offers over its control channel. */
import { CHANNELS, type ControlMessage } from "#contracts/media/control.ts";
import { countDataFragments, cutFragments } from "#contracts/media/fragments.ts";
import { isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { MediaPlace } from "../session/messages.ts";
import { type AnsweredPeer, answerPeer, type DataChannel, isSent } from "./answered-peer.ts";
import { planStripes, spreadFragments } from "./spread.ts";

/** Of what frames have lately had; a key frame among small ones asks for nothing by itself. */
const SMOOTHING_GAIN = 1 / 8;

export interface StripesOptions {
  readonly media: MediaPlace;
  readonly clock: Pick<Clock, "timer">;
  readonly first: Pick<AnsweredPeer, "openChannel">;
  readonly say: (message: ControlMessage) => boolean;
  readonly onInvalid: () => void;
  readonly signal: AbortSignal;
}

export class Stripes {
  readonly #options: StripesOptions;
  /** `undefined` while one is being answered, and when it is lost. */
  readonly #further = new Map<number, AnsweredPeer | undefined>();
  #requested = 1;
  #dataCount = 0;
  #parityCount = 0;

  constructor(options: StripesOptions) {
    this.#options = options;
  }

  /** Whether a frame that is handed over now goes out at once: on one connection at least nothing waits. */
  get isClear(): boolean {
    return this.#clearChannels().length > 0;
  }

  /** False where no connection is clear. */
  send(frameNumber: number, bytes: Uint8Array, parityRatio: number): boolean {
    const channels = this.#clearChannels();
    if (channels.length === 0) return false;
    const fragments = cutFragments(frameNumber, bytes, parityRatio);
    const dataCount = countDataFragments(bytes.byteLength);
    this.#widen(dataCount, fragments.length - dataCount);
    return sendSpread(channels, { frameNumber, dataCount, fragments });
  }

  /** One offer for each connection that was asked for; any other breaks the protocol. */
  async take(stripe: number, sdp: string): Promise<void> {
    const { media, clock, say, onInvalid, signal } = this.#options;
    if (signal.aborted) return;
    if (stripe >= this.#requested || this.#further.has(stripe)) return onInvalid();
    this.#further.set(stripe, undefined);
    // What is lost leaves fewer connections, and is not asked for again: its way is a bad one.
    const events = { onMessage: onInvalid, onGone: () => this.#further.set(stripe, undefined) };
    try {
      const peer = await answerPeer({ sdp, media, clock, labels: [CHANNELS.frames], signal }, events);
      this.#further.set(stripe, peer);
      say({ type: "stripe-answer", stripe, sdp: peer.answerSdp });
    } catch (error) {
      if (!isFailure(error, "media-invalid")) throw error;
      onInvalid();
    }
  }

  #clearChannels(): DataChannel[] {
    const peers = [this.#options.first, ...this.#further.values()];
    return peers
      .map((peer) => peer?.openChannel(CHANNELS.frames))
      .filter((channel) => channel !== undefined)
      .filter((channel) => channel.bufferedAmount() === 0);
  }

  #widen(dataCount: number, parityCount: number): void {
    this.#dataCount += SMOOTHING_GAIN * (dataCount - this.#dataCount);
    this.#parityCount += SMOOTHING_GAIN * (parityCount - this.#parityCount);
    const wanted = planStripes(Math.round(this.#dataCount), Math.round(this.#parityCount));
    if (wanted <= this.#requested) return;
    if (this.#options.say({ type: "stripe-request", connections: wanted })) this.#requested = wanted;
  }
}

export interface CutFrame {
  readonly frameNumber: number;
  readonly dataCount: number;
  /** Data first. */
  readonly fragments: readonly Uint8Array<ArrayBuffer>[];
}

/** True where at least one connection took its part: the parity of the others may make up for the rest. */
export function sendSpread(channels: readonly DataChannel[], { frameNumber, dataCount, fragments }: CutFrame): boolean {
  const shape = { frameNumber, dataCount, parityCount: fragments.length - dataCount };
  const spread = spreadFragments(shape, channels.length);
  let sent = 0;
  for (const [index, fragment] of fragments.entries()) {
    if (isSent(() => channels[spread[index] ?? 0]?.sendMessageBinary(fragment))) sent += 1;
  }
  return sent > 0;
}
