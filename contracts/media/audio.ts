/**
 * A block of sound on its way to the client: a 20-byte header, little endian, its Opus packet (RFC 6716), and that of the
 * block before once more, so that the loss of a single message is repaired by the next. Pure; the same file in the browser.
 */
import { Failure } from "#domain/failure.ts";

export interface AudioPacket {
  /** Grows by one with each packet of a connection, from 1. */
  readonly sequence: number;
  /** When the block begins, by the clock that frames are stamped by: epoch milliseconds with fraction. */
  readonly stampMs: number;
  readonly opus: Uint8Array;
  /** Of the packet before, where its block is the one that ends where this one begins. */
  readonly previousOpus?: Uint8Array;
  /** Nothing is sounding any more: the next packet comes when something does, and what is between is silence. */
  readonly isLast: boolean;
}

export const AUDIO_SAMPLE_RATE_HZ = 48_000;
export const AUDIO_BLOCK_MS = 10;
/** Of each channel. */
export const AUDIO_BLOCK_FRAMES = (AUDIO_SAMPLE_RATE_HZ * AUDIO_BLOCK_MS) / 1000;
/** What Opus looks ahead in its low-delay mode: decoded sound is as much later than what went in (RFC 6716 section 2.1.9). */
export const AUDIO_CODEC_DELAY_FRAMES = 120;
export const AUDIO_BITS_PER_SECOND = 96_000;
export const AUDIO_HEADER_BYTES = 20;
/** Four times the mean at 96 kbit/s; two of them and the header stay below what a path carries whole. */
export const OPUS_BYTES_MAX = 480;
export const AUDIO_BYTES_MAX = AUDIO_HEADER_BYTES + 2 * OPUS_BYTES_MAX;
/** Tells it from a frame, where both come by one connection. */
export const AUDIO_TYPE = 3;
const AUDIO_VERSION = 1;
const FLAGS = { repeatsPrevious: 1, isLast: 2 } as const;
const FLAGS_MAX = FLAGS.repeatsPrevious | FLAGS.isLast;

/** Throws `media-invalid` for a packet that is too large. */
export function encodeAudio({ sequence, stampMs, opus, previousOpus, isLast }: AudioPacket): Uint8Array<ArrayBuffer> {
  checkOpus(opus.byteLength);
  if (previousOpus !== undefined) checkOpus(previousOpus.byteLength);
  const previousBytes = previousOpus?.byteLength ?? 0;
  const bytes = new Uint8Array(AUDIO_HEADER_BYTES + opus.byteLength + previousBytes);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, AUDIO_TYPE);
  view.setUint8(1, AUDIO_VERSION);
  view.setUint8(2, (previousBytes > 0 ? FLAGS.repeatsPrevious : 0) | (isLast ? FLAGS.isLast : 0));
  view.setUint32(4, sequence, true);
  view.setFloat64(8, stampMs, true);
  view.setUint16(16, opus.byteLength, true);
  view.setUint16(18, previousBytes, true);
  bytes.set(opus, AUDIO_HEADER_BYTES);
  if (previousOpus !== undefined) bytes.set(previousOpus, AUDIO_HEADER_BYTES + opus.byteLength);
  return bytes;
}

/** The Opus packets are views of `bytes`, not copies. Throws `media-invalid`. */
export function decodeAudio(bytes: Uint8Array): AudioPacket {
  if (bytes.byteLength <= AUDIO_HEADER_BYTES || bytes.byteLength > AUDIO_BYTES_MAX)
    throw invalid(`must have more than ${AUDIO_HEADER_BYTES} and at most ${AUDIO_BYTES_MAX} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint8(0) !== AUDIO_TYPE || view.getUint8(1) !== AUDIO_VERSION)
    throw invalid(`must be of type ${AUDIO_TYPE}, version ${AUDIO_VERSION}`);
  const flags = view.getUint8(2);
  if (flags > FLAGS_MAX || view.getUint8(3) !== 0) throw invalid("must have no flags but those of its version");
  const sequence = view.getUint32(4, true);
  if (sequence === 0) throw invalid("sequence number must be from 1");
  const stampMs = view.getFloat64(8, true);
  if (!(stampMs >= 0 && stampMs <= Number.MAX_SAFE_INTEGER)) throw invalid("stamp must be a time");
  const [opusBytes, previousBytes] = [view.getUint16(16, true), view.getUint16(18, true)];
  checkOpus(opusBytes);
  const repeats = (flags & FLAGS.repeatsPrevious) !== 0;
  if (repeats) checkOpus(previousBytes);
  else if (previousBytes !== 0) throw invalid("must say that it repeats a packet where it does");
  const end = AUDIO_HEADER_BYTES + opusBytes;
  if (bytes.byteLength !== end + previousBytes) throw invalid("must be as long as its Opus packets are");
  return {
    sequence,
    stampMs,
    opus: bytes.subarray(AUDIO_HEADER_BYTES, end),
    ...(repeats ? { previousOpus: bytes.subarray(end) } : {}),
    isLast: (flags & FLAGS.isLast) !== 0,
  };
}

function checkOpus(bytes: number): void {
  if (bytes >= 1 && bytes <= OPUS_BYTES_MAX) return;
  throw invalid(`an Opus packet must have 1..${OPUS_BYTES_MAX} bytes, got ${bytes}`);
}

function invalid(what: string): Failure {
  return new Failure("media-invalid", `audio packet: ${what}`);
}
