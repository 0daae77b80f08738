/** The encoder port: one picture in, one access unit out, nothing held back. */
import type { MediaCodec } from "#contracts/media/frame.ts";
import type { FoveatedView, Foveation } from "./foveation.ts";

export interface AccessUnit {
  readonly bytes: Uint8Array;
  readonly key: boolean;
}

export interface EncodingRate {
  readonly bitsPerSecond: number;
  /** Pictures that really come; no more than the encoder was opened for. */
  readonly frameRateHz: number;
}

export interface Encoder extends Disposable {
  readonly codec: MediaCodec;
  /**
   * `pixels` are RGBA rows without padding, drawn for the view. Blocks; a session's process has nothing better to do
   * meanwhile.
   */
  encode(pixels: Uint8Array, key: boolean, view?: FoveatedView): AccessUnit;
  /** From the next picture on. */
  setRate(rate: EncodingRate): void;
}

export interface EncoderOptions extends EncodingRate {
  readonly widthPixels: number;
  readonly heightPixels: number;
  /** `off` where not said; an encoder that cannot does without. */
  readonly foveation?: Foveation;
}

/** Of the pixels' rate: 480×540 stereo at 30 Hz gets 3.9 Mbit/s. JPEG knows no picture before. */
const BITS_PER_PIXEL: Readonly<Record<MediaCodec, number>> = { h264: 0.25, jpeg: 0.75 };
/** Below it a picture falls apart, and one of fewer pixels looks better. */
export const BITS_PER_PIXEL_FLOOR: Readonly<Record<MediaCodec, number>> = { h264: 0.05, jpeg: 0.3 };
/** Small pictures have more detail a pixel. */
const BITS_PER_SECOND_FULL = 2_000_000;

type StreamSize = Omit<EncoderOptions, "bitsPerSecond">;

/** What a stream of this size gets where nothing is in its way. Pure. */
export function fullBitRateOf({ widthPixels, heightPixels, frameRateHz }: StreamSize, codec: MediaCodec): number {
  return Math.max(BITS_PER_SECOND_FULL, Math.round(widthPixels * heightPixels * frameRateHz * BITS_PER_PIXEL[codec]));
}
