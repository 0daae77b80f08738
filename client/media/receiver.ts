/** From whole frames to decoded pictures: checks the header, plans, decodes, counts. Nothing waits but in the decoder. */
import { decodeFrame, type Frame, type FrameHeader } from "#contracts/media/frame.ts";
import { isFailure } from "#domain/failure.ts";
import { BEFORE_FIRST_FRAME, planDecode, planRestart } from "./decode-plan.ts";

/** Frames whose pictures are awaited; beyond it the decoder has swallowed them and says nothing. */
const DECODING_MAX = 8;

export interface FrameDecoder {
  /** Frames handed over and not begun. */
  readonly queue: number;
  decode(frame: Frame): void;
  close(): void;
}

export interface DecoderEvents<P> {
  onPicture(picture: P, frameNumber: number): void;
  /** Nothing follows from this decoder. */
  onError(reason: string): void;
}

export interface DecodedFrame<P> {
  readonly header: FrameHeader;
  /** By the client's clock, epoch milliseconds with fraction. */
  readonly arrivedAtMs: number;
  readonly decodedAtMs: number;
  /** Whoever takes the frame closes it. */
  readonly picture: P;
}

export interface ReceiverPorts<P> {
  /** Epoch milliseconds with fraction. */
  readonly nowMs: () => number;
  readonly openDecoder: (events: DecoderEvents<P>) => FrameDecoder;
  readonly requestKeyFrame: () => void;
  readonly onDecoded: (frame: DecodedFrame<P>) => void;
}

export interface ReceiverCounts {
  readonly framesDecoded: number;
  /** Never decoded: missing, late, or of no use without a missing one. */
  readonly framesLost: number;
  readonly fragmentsRepaired: number;
  readonly messagesInvalid: number;
  readonly keyFramesRequested: number;
  readonly decoderErrors: number;
}

export interface Receiver {
  addFrame(bytes: Uint8Array<ArrayBuffer>, fragmentsRepaired: number): void;
  countInvalid(): void;
  counts(): ReceiverCounts;
  close(): void;
}

export function createReceiver<P>({ nowMs, openDecoder, requestKeyFrame, onDecoded }: ReceiverPorts<P>): Receiver {
  const counts = {
    framesDecoded: 0,
    framesLost: 0,
    fragmentsRepaired: 0,
    messagesInvalid: 0,
    keyFramesRequested: 0,
    decoderErrors: 0,
  };
  const decoding = new Map<number, Omit<DecodedFrame<P>, "picture" | "decodedAtMs">>();
  let state = BEFORE_FIRST_FRAME;
  let closed = false;
  const askForKey = (isWanted: boolean): void => {
    if (!isWanted) return;
    counts.keyFramesRequested += 1;
    requestKeyFrame();
  };
  const events: DecoderEvents<P> = {
    onPicture(picture, frameNumber) {
      const begun = decoding.get(frameNumber);
      for (const number of decoding.keys()) if (number <= frameNumber) decoding.delete(number);
      if (begun === undefined) return;
      counts.framesDecoded += 1;
      onDecoded({ ...begun, decodedAtMs: nowMs(), picture });
    },
    onError() {
      counts.decoderErrors += 1;
      counts.framesLost += decoding.size;
      decoding.clear();
      if (closed) return;
      decoder = openDecoder(events);
      const plan = planRestart(state, nowMs());
      state = plan.state;
      askForKey(plan.requestsKey);
    },
  };
  let decoder = openDecoder(events);
  return {
    addFrame(bytes, fragmentsRepaired) {
      const frame = closed ? undefined : readFrame(bytes);
      if (frame === undefined) {
        counts.messagesInvalid += closed ? 0 : 1;
        return;
      }
      const arrivedAtMs = nowMs();
      counts.fragmentsRepaired += fragmentsRepaired;
      const plan = planDecode(state, frame.header, { nowMs: arrivedAtMs, decodeQueue: decoder.queue });
      state = plan.state;
      // Frames are numbered from the lease's first: those before the first that arrives were not for this client.
      const isFirst = counts.framesDecoded + counts.framesLost + decoding.size === 0;
      counts.framesLost += isFirst ? 0 : plan.framesMissed;
      askForKey(plan.requestsKey);
      if (plan.decision.kind === "drop") {
        if (plan.decision.because !== "late") counts.framesLost += 1;
        return;
      }
      decoding.set(frame.header.frameNumber, { header: frame.header, arrivedAtMs });
      for (const number of decoding.keys()) if (decoding.size > DECODING_MAX) decoding.delete(number);
      decoder.decode(frame);
    },
    countInvalid() {
      counts.messagesInvalid += 1;
    },
    counts: () => ({ ...counts }),
    close() {
      closed = true;
      decoder.close();
    },
  };
}

/** `undefined` for what is no frame, or of a codec that the decoder is not made for. */
function readFrame(bytes: Uint8Array): Frame | undefined {
  try {
    const frame = decodeFrame(bytes);
    return frame.header.codec === "h264" ? frame : undefined;
  } catch (error) {
    if (isFailure(error, "media-invalid")) return undefined;
    throw error;
  }
}
