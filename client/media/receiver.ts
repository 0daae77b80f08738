/** From whole frames to decoded pictures: checks the header, plans, decodes, counts. Nothing waits but in the decoder. */
import { decodeFrame, type Frame, type FrameHeader } from "#contracts/media/frame.ts";
import type { HeldObject } from "#contracts/media/held-object.ts";
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

/** Of a decoder, which has few: it stops where they are not closed. */
export interface Picture {
  close(): void;
}

export interface DecodedFrame<P> {
  readonly header: FrameHeader;
  /** Of both eyes; `undefined` of an agent that sends none. */
  readonly depth: Uint8Array | undefined;
  /** What its picture is without. */
  readonly held?: readonly HeldObject[];
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
  /** Of every whole frame, before it is decided what becomes of it. */
  readonly onArrived: (frame: {
    readonly header: FrameHeader;
    readonly bytes: number;
    readonly arrivedAtMs: number;
  }) => void;
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

const NOTHING_COUNTED = {
  framesDecoded: 0,
  framesLost: 0,
  fragmentsRepaired: 0,
  messagesInvalid: 0,
  keyFramesRequested: 0,
  decoderErrors: 0,
};

export function createReceiver<P extends Picture>(ports: ReceiverPorts<P>): Receiver {
  const { nowMs, openDecoder, requestKeyFrame, onArrived, onDecoded } = ports;
  const counts = { ...NOTHING_COUNTED };
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
      if (begun === undefined) {
        picture.close();
        return;
      }
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
      onArrived({ header: frame.header, bytes: bytes.byteLength, arrivedAtMs });
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
      decoding.set(frame.header.frameNumber, { header: frame.header, depth: frame.depth, arrivedAtMs });
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

/** `undefined` for what is no frame. */
function readFrame(bytes: Uint8Array): Frame | undefined {
  try {
    return decodeFrame(bytes);
  } catch (error) {
    if (isFailure(error, "media-invalid")) return undefined;
    throw error;
  }
}
