/** A frame on its way to the client: a 64-byte header, little endian, then one access unit. Pure; the same file in the browser. */
import { Failure } from "#domain/failure.ts";

/** In the order of their numbers on the wire. `jpeg` frames are all key frames. */
export const CODECS = ["h264", "jpeg"] as const;
export type MediaCodec = (typeof CODECS)[number];

export interface FrameHeader {
  readonly frameNumber: number;
  readonly codec: MediaCodec;
  readonly key: boolean;
  readonly eyeWidthPixels: number;
  readonly eyeHeightPixels: number;
  /** The pose it was rendered from, and that pose's time by the client's clock. */
  readonly poseId: number;
  readonly poseSampledAtMs: number;
  /** By the agent's clock, epoch milliseconds with fraction. */
  readonly poseReceivedAtMs: number;
  readonly renderStartedAtMs: number;
  readonly renderedAtMs: number;
  readonly encodedAtMs: number;
  readonly sentAtMs: number;
}

export interface Frame {
  readonly header: FrameHeader;
  /** Annex B for H.264, one JFIF picture for JPEG. */
  readonly accessUnit: Uint8Array;
}

export const FRAME_HEADER_BYTES = 64;
const FRAME_TYPE = 2;
const FRAME_VERSION = 1;
/** A key frame of 2×2048×2048 stays below it. */
export const FRAME_BYTES_MAX = 4 * 1024 * 1024;

export function encodeFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  const { header, accessUnit } = frame;
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + accessUnit.byteLength);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, FRAME_TYPE);
  view.setUint8(1, FRAME_VERSION);
  view.setUint8(2, header.key ? 1 : 0);
  view.setUint8(3, CODECS.indexOf(header.codec));
  view.setUint32(4, header.frameNumber, true);
  view.setUint32(8, header.poseId, true);
  view.setUint16(12, header.eyeWidthPixels, true);
  view.setUint16(14, header.eyeHeightPixels, true);
  for (const [index, value] of times(header).entries()) view.setFloat64(16 + index * 8, value, true);
  bytes.set(accessUnit, FRAME_HEADER_BYTES);
  return bytes;
}

/** The access unit is a view of `bytes`, not a copy. Throws `media-invalid`. */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.byteLength < FRAME_HEADER_BYTES || bytes.byteLength > FRAME_BYTES_MAX) {
    throw new Failure("media-invalid", `frame: must have ${FRAME_HEADER_BYTES}..${FRAME_BYTES_MAX} bytes`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const codec = CODECS[view.getUint8(3)];
  const flags = view.getUint8(2);
  if (view.getUint8(0) !== FRAME_TYPE || view.getUint8(1) !== FRAME_VERSION || codec === undefined || flags > 1) {
    throw new Failure("media-invalid", "frame: must be of type 2, version 1, with a codec of it");
  }
  const time = (index: number): number => {
    const value = view.getFloat64(16 + index * 8, true);
    if (!Number.isFinite(value)) throw new Failure("media-invalid", "frame: times must be finite");
    return value;
  };
  const header: FrameHeader = {
    frameNumber: view.getUint32(4, true),
    codec,
    key: flags === 1,
    eyeWidthPixels: view.getUint16(12, true),
    eyeHeightPixels: view.getUint16(14, true),
    poseId: view.getUint32(8, true),
    poseSampledAtMs: time(0),
    poseReceivedAtMs: time(1),
    renderStartedAtMs: time(2),
    renderedAtMs: time(3),
    encodedAtMs: time(4),
    sentAtMs: time(5),
  };
  return { header, accessUnit: bytes.subarray(FRAME_HEADER_BYTES) };
}

function times(header: FrameHeader): number[] {
  return [
    header.poseSampledAtMs,
    header.poseReceivedAtMs,
    header.renderStartedAtMs,
    header.renderedAtMs,
    header.encodedAtMs,
    header.sentAtMs,
  ];
}
