/**
 * A frame on its way to the client: a 64-byte header, little endian, the depth planes with their length before them
 * where its pose asks for them (version 2), then one access unit. Pure; the same file in the browser.
 */
import { Failure } from "#domain/failure.ts";
import { decodeDepth, encodeDepth } from "./depth-plane.ts";
import { depthShapeOf } from "./depth-shape.ts";
import { HOLDS_MAX, type HoldNumbers } from "./held-object.ts";

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
  /** Its picture is without these; not there where it is whole. Only who said that it draws them gets such frames. */
  readonly without?: HoldNumbers;
}

export interface Frame {
  readonly header: FrameHeader;
  /** Annex B for H.264, one JFIF picture for JPEG. */
  readonly accessUnit: Uint8Array;
  /** Of both eyes, as `depthShapeOf` says; they stand alone, whatever frames were lost before. */
  readonly depth?: Uint8Array;
}

export const FRAME_HEADER_BYTES = 64;
const FRAME_TYPE = 2;
const FRAME_VERSION = 1;
const FRAME_VERSION_WITH_DEPTH = 2;
const DEPTH_LENGTH_BYTES = 4;
const HOLD_BITS = { left: 1, right: 4 } as const;
const FLAGS_MAX = 0x7f;
/** A key frame of 2×2048×2048 stays below it. */
export const FRAME_BYTES_MAX = 4 * 1024 * 1024;

export function encodeFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  const { header, accessUnit, depth } = frame;
  const planes = depth === undefined ? undefined : encodeDepth(depth, depthShapeOf(header));
  const start = FRAME_HEADER_BYTES + (planes === undefined ? 0 : DEPTH_LENGTH_BYTES + planes.byteLength);
  const bytes = new Uint8Array(start + accessUnit.byteLength);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, FRAME_TYPE);
  view.setUint8(1, planes === undefined ? FRAME_VERSION : FRAME_VERSION_WITH_DEPTH);
  view.setUint8(2, flagsOf(header));
  view.setUint8(3, CODECS.indexOf(header.codec));
  view.setUint32(4, header.frameNumber, true);
  view.setUint32(8, header.poseId, true);
  view.setUint16(12, header.eyeWidthPixels, true);
  view.setUint16(14, header.eyeHeightPixels, true);
  for (const [index, value] of times(header).entries()) view.setFloat64(16 + index * 8, value, true);
  if (planes !== undefined) {
    view.setUint32(FRAME_HEADER_BYTES, planes.byteLength, true);
    bytes.set(planes, FRAME_HEADER_BYTES + DEPTH_LENGTH_BYTES);
  }
  bytes.set(accessUnit, start);
  return bytes;
}

/** Bit 0 for a key frame, then three for the hold of each hand. */
function flagsOf({ key, without: [left, right] = [0, 0] }: FrameHeader): number {
  return (key ? 1 : 0) | (left << HOLD_BITS.left) | (right << HOLD_BITS.right);
}

function holdsOf(flags: number): Pick<FrameHeader, "without"> {
  const [left, right] = [(flags >> HOLD_BITS.left) & HOLDS_MAX, (flags >> HOLD_BITS.right) & HOLDS_MAX];
  return left === 0 && right === 0 ? {} : { without: [left, right] };
}

/** The access unit is a view of `bytes`, not a copy. Throws `media-invalid`. */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.byteLength < FRAME_HEADER_BYTES || bytes.byteLength > FRAME_BYTES_MAX) {
    throw new Failure("media-invalid", `frame: must have ${FRAME_HEADER_BYTES}..${FRAME_BYTES_MAX} bytes`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const codec = CODECS[view.getUint8(3)];
  const flags = view.getUint8(2);
  const version = view.getUint8(1);
  const isKnown = version === FRAME_VERSION || version === FRAME_VERSION_WITH_DEPTH;
  if (view.getUint8(0) !== FRAME_TYPE || !isKnown || codec === undefined || flags > FLAGS_MAX) {
    throw new Failure("media-invalid", "frame: must be of type 2, version 1 or 2, with a codec of it");
  }
  const time = (index: number): number => {
    const value = view.getFloat64(16 + index * 8, true);
    if (!Number.isFinite(value)) throw new Failure("media-invalid", "frame: times must be finite");
    return value;
  };
  const header: FrameHeader = {
    frameNumber: view.getUint32(4, true),
    codec,
    key: (flags & 1) === 1,
    eyeWidthPixels: view.getUint16(12, true),
    eyeHeightPixels: view.getUint16(14, true),
    poseId: view.getUint32(8, true),
    poseSampledAtMs: time(0),
    poseReceivedAtMs: time(1),
    renderStartedAtMs: time(2),
    renderedAtMs: time(3),
    encodedAtMs: time(4),
    sentAtMs: time(5),
    ...holdsOf(flags),
  };
  const content = bytes.subarray(FRAME_HEADER_BYTES);
  return { header, ...(version === FRAME_VERSION ? { accessUnit: content } : splitContent(content, header)) };
}

function splitContent(content: Uint8Array, header: FrameHeader): Pick<Frame, "accessUnit" | "depth"> {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const room = content.byteLength - DEPTH_LENGTH_BYTES;
  const length = room < 0 ? 0 : view.getUint32(0, true);
  if (length > room)
    throw new Failure("media-invalid", `frame: its depth planes must end within it, got ${length} bytes`);
  const planes = content.subarray(DEPTH_LENGTH_BYTES, DEPTH_LENGTH_BYTES + length);
  return {
    depth: decodeDepth(planes, depthShapeOf(header)),
    accessUnit: content.subarray(DEPTH_LENGTH_BYTES + length),
  };
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
