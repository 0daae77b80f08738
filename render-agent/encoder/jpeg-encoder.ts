/** JPEG pictures by MozJPEG compiled to WebAssembly: what is left without FFmpeg. The quality follows the rate. */
import { readFile } from "node:fs/promises";
import moduleFactory from "@jsquash/jpeg/codec/enc/mozjpeg_enc.js";
import type { Encoder, EncoderOptions, EncodingRate } from "./encoder.ts";

const QUALITY_FIRST = 60;
const QUALITY_RANGE = { lowest: 8, highest: 85 };
/** A picture twice as large as it should be costs so much quality at once; half as large gives a quarter of it back. */
const QUALITY_PER_OCTAVE = { down: 16, up: 4 };

/** Baseline with tables of its own: of MozJPEG's ways the fastest here; progressive takes two and a half times as long. */
const SETTINGS = {
  baseline: true,
  arithmetic: false,
  progressive: false,
  optimize_coding: true,
  smoothing: 0,
  color_space: 3,
  quant_table: 3,
  trellis_multipass: false,
  trellis_opt_zero: false,
  trellis_opt_table: false,
  trellis_loops: 1,
  auto_subsample: false,
  chroma_subsample: 2,
  separate_chroma_quality: false,
};

/** The quality for the next picture of about `targetBytes` after one of `bytes`. Pure. */
export function nextQuality(quality: number, bytes: number, targetBytes: number): number {
  const octaves = Math.log2(bytes / targetBytes);
  const step = octaves > 0 ? octaves * QUALITY_PER_OCTAVE.down : octaves * QUALITY_PER_OCTAVE.up;
  return Math.min(QUALITY_RANGE.highest, Math.max(QUALITY_RANGE.lowest, quality - step));
}

export async function openJpegEncoder(options: EncoderOptions): Promise<Encoder> {
  const { widthPixels, heightPixels } = options;
  const encoder = await loadMozJpeg();
  let rate: EncodingRate = options;
  let quality = QUALITY_FIRST;
  return {
    codec: "jpeg",
    encode(pixels) {
      const rounded = Math.round(quality);
      const view = encoder.encode(pixels, widthPixels, heightPixels, {
        ...SETTINGS,
        quality: rounded,
        chroma_quality: rounded,
      });
      // The view is of the module's own memory, which the next picture may move.
      const bytes = view.slice();
      quality = nextQuality(quality, bytes.byteLength, rate.bitsPerSecond / 8 / rate.frameRateHz);
      return { bytes, key: true };
    },
    setRate(next) {
      rate = next;
    },
    [Symbol.dispose]() {},
  };
}

interface MozJpeg {
  encode(pixels: Uint8Array, width: number, height: number, options: object): Uint8Array;
}

/** With its bytes given: by itself it would fetch them, which Node does not do for files. */
async function loadMozJpeg(): Promise<MozJpeg> {
  const file = new URL(import.meta.resolve("@jsquash/jpeg/codec/enc/mozjpeg_enc.wasm"));
  return await moduleFactory({ noInitialRun: true, wasmBinary: await readFile(file) });
}
