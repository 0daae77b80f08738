/** Finds the encoder that works on this machine by encoding a picture with each candidate, and opens the one chosen. */
import { Failure, isFailure } from "#domain/failure.ts";
import type { Gpu } from "../renderer/gpu.ts";
import { chooseEncoder, encodersToTry, type TriedEncoder } from "./choose-encoder.ts";
import type { Encoder, EncoderOptions } from "./encoder.ts";
import type { EncoderName, EncoderWish, VideoEncoderName } from "./encoder-settings.ts";
import { loadFfmpeg } from "./ffmpeg.ts";
import { openJpegEncoder } from "./jpeg-encoder.ts";
import { openVideoEncoder } from "./video-encoder.ts";

/** Hardware encoders take no smaller ones. */
const TRIAL: EncoderOptions = { widthPixels: 256, heightPixels: 256, frameRateHz: 30, bitsPerSecond: 1_000_000 };
const PIXEL_BYTES = 4;

export interface EncoderFinding {
  readonly encoder: EncoderName;
  readonly advice: readonly string[];
}

/** Throws `encoder-unavailable` where an encoder that was named does not work. */
export async function findEncoder(
  { adapterKind, adapterName }: Pick<Gpu, "adapterKind" | "adapterName">,
  wish: EncoderWish,
): Promise<EncoderFinding> {
  const tried = wish === "jpeg" ? [] : await tryEncoders(encodersToTry(adapterKind, wish));
  const choice = chooseEncoder({ adapterKind, adapterName, tried, wish });
  if (choice.kind === "refused") throw new Failure("encoder-unavailable", choice.message);
  return choice;
}

/** Throws `encoder-unavailable`. */
export function openEncoder(name: EncoderName, options: EncoderOptions): Promise<Encoder> {
  return name === "jpeg" ? openJpegEncoder(options) : openVideoEncoder(name, options);
}

async function tryEncoders(names: readonly VideoEncoderName[]): Promise<readonly TriedEncoder[] | "absent"> {
  try {
    await loadFfmpeg();
  } catch (error) {
    if (isFailure(error, "encoder-unavailable")) return "absent";
    throw error;
  }
  const tried: TriedEncoder[] = [];
  for (const name of names) {
    const one = await tryEncoder(name);
    tried.push(one);
    if (one.works) break;
  }
  return tried;
}

async function tryEncoder(name: VideoEncoderName): Promise<TriedEncoder> {
  try {
    using encoder = await openVideoEncoder(name, TRIAL);
    const { bytes } = encoder.encode(new Uint8Array(TRIAL.widthPixels * TRIAL.heightPixels * PIXEL_BYTES), true);
    return bytes.byteLength > 0 ? { name, works: true } : { name, works: false, reason: "it gave no bytes" };
  } catch (error) {
    // Whatever a driver says about a picture: it is no encoder for this machine.
    return { name, works: false, reason: error instanceof Error ? error.message : String(error) };
  }
}
