/** The encoder port: one picture in, one access unit out, nothing held back. */
import type { MediaCodec } from "#contracts/media/frame.ts";

export interface AccessUnit {
  readonly bytes: Uint8Array;
  readonly key: boolean;
}

export interface Encoder extends Disposable {
  readonly codec: MediaCodec;
  /** `pixels` are RGBA rows without padding. Blocks; a session's process has nothing better to do meanwhile. */
  encode(pixels: Uint8Array, key: boolean): AccessUnit;
}

export interface EncoderOptions {
  readonly widthPixels: number;
  readonly heightPixels: number;
  readonly frameRateHz: number;
}
