/** H.264 by one of FFmpeg's encoders (node-av), a rate buffer of one and a half frames. An optional dependency. */
import { Failure } from "#domain/failure.ts";
import type { AccessUnit, Encoder, EncoderOptions, EncodingRate } from "./encoder.ts";
import {
  ENCODER_SETTINGS,
  openingOptions,
  type StreamShape,
  usualShape,
  type VideoEncoderName,
} from "./encoder-settings.ts";
import { type Ffmpeg, loadFfmpeg } from "./ffmpeg.ts";
import { type Foveation, foveatedRegions } from "./foveation.ts";
import { openPictureInput, type PictureInput } from "./picture-input.ts";
import { setRegions } from "./regions.ts";

const RATE_BUFFER_FRAMES = 1.5;
/** A smaller change is not worth a key frame. */
const REOPEN_RATIO = 0.1;

interface Opening {
  readonly name: VideoEncoderName;
  readonly options: EncoderOptions;
  readonly shape: StreamShape;
}

/** Throws `encoder-unavailable` where the package is not installed, or the encoder does not work here. */
export async function openVideoEncoder(
  name: VideoEncoderName,
  options: EncoderOptions,
  shape: StreamShape = usualShape(options),
): Promise<Encoder> {
  const ffmpeg = await loadFfmpeg();
  const input = openPictureInput(ffmpeg, ENCODER_SETTINGS[name], options);
  try {
    return encoderOf(ffmpeg, { name, options, shape }, input);
  } catch (error) {
    input[Symbol.dispose]();
    throw error;
  }
}

function encoderOf(ffmpeg: Ffmpeg, opening: Opening, input: PictureInput): Encoder {
  const { av, names } = ffmpeg;
  const { options, name } = opening;
  const foveation = foveationOf(opening);
  let context: ReturnType<typeof openContext> | undefined = openContext(ffmpeg, opening, input);
  const packet = new av.Packet();
  packet.alloc();
  let rate: EncodingRate = options;
  let openedRate: EncodingRate = options;
  let count = 0n;
  return {
    codec: "h264",
    encode(pixels, key, view): AccessUnit {
      if (ENCODER_SETTINGS[name].rateChange === "reopened" && isWorthOpening(rate, openedRate, options)) {
        // A device may have no second encoder to give meanwhile.
        context?.freeContext();
        context = undefined;
        openedRate = rate;
      }
      context ??= openContext(ffmpeg, opening, input, rate);
      const picture = input.take(pixels);
      picture.pts = count;
      picture.pictType = key ? names.AV_PICTURE_TYPE_I : names.AV_PICTURE_TYPE_NONE;
      count += 1n;
      if (foveation !== "off")
        setRegions(picture, view === undefined ? [] : foveatedRegions(view, options, foveation), names);
      av.FFmpegError.throwIfError(context.sendFrameSync(picture), "encode");
      av.FFmpegError.throwIfError(context.receivePacketSync(packet), "take the access unit");
      const unit = { bytes: new Uint8Array(packet.data ?? []), key: packet.isKeyframe };
      packet.unref();
      return unit;
    },
    setRate(next) {
      rate = next;
      if (ENCODER_SETTINGS[name].rateChange === "running" && context !== undefined)
        applyRate(context, next, options.frameRateHz);
    },
    [Symbol.dispose]() {
      context?.freeContext();
      packet.free();
      input[Symbol.dispose]();
    },
  };
}

function openContext(
  ffmpeg: Ffmpeg,
  { name, options, shape }: Opening,
  input: PictureInput,
  rate: EncodingRate = options,
) {
  const { av, names } = ffmpeg;
  const codec = av.Codec.findEncoderByName(encoderOfName(names, name));
  if (codec === null) throw new Failure("encoder-unavailable", `node-av is built without ${name}`);
  const context = new av.CodecContext();
  context.allocContext3(codec);
  context.width = options.widthPixels;
  context.height = options.heightPixels;
  input.describe(context);
  context.timeBase = new av.Rational(1, options.frameRateHz);
  context.framerate = new av.Rational(options.frameRateHz, 1);
  // All of it, or none counts: unsaid, browsers take the matrix for BT.709, and each colour is off by up to 17 of 255.
  context.colorSpace = names.AVCOL_SPC_SMPTE170M;
  context.colorRange = names.AVCOL_RANGE_MPEG;
  context.colorPrimaries = names.AVCOL_PRI_BT709;
  context.colorTrc = names.AVCOL_TRC_IEC61966_2_1;
  applyRate(context, rate, options.frameRateHz);
  const isFoveated = foveationOf({ name, options }) !== "off";
  const { groupFrames, options: settings } = openingOptions(ENCODER_SETTINGS[name], shape, isFoveated);
  context.gopSize = groupFrames;
  context.maxBFrames = 0;
  // One by one: of a dictionary given to open2Sync node-av frees once more what FFmpeg has freed.
  for (const [key, value] of Object.entries(settings)) {
    const set = context.setOption(key, value, names.AV_OPT_TYPE_STRING, names.AV_OPT_SEARCH_CHILDREN);
    av.FFmpegError.throwIfError(set, `set ${key}`);
  }
  const opened = context.open2Sync(codec);
  if (opened >= 0) return context;
  context.freeContext();
  throw new Failure("encoder-unavailable", `${name} does not work on this machine (${opened})`);
}

/** The encoder counts by the frames that it was opened for: where fewer come, each may be larger. */
function applyRate(
  context: InstanceType<Ffmpeg["av"]["CodecContext"]>,
  { bitsPerSecond, frameRateHz }: EncodingRate,
  openedHz: number,
): void {
  const counted = Math.round((bitsPerSecond * openedHz) / frameRateHz);
  context.bitRate = BigInt(counted);
  context.rcMaxRate = BigInt(counted);
  context.rcBufferSize = Math.round((counted / openedHz) * RATE_BUFFER_FRAMES);
}

function foveationOf({ name, options }: Pick<Opening, "name" | "options">): Foveation {
  return ENCODER_SETTINGS[name].foveation === undefined ? "off" : (options.foveation ?? "off");
}

function isWorthOpening(rate: EncodingRate, opened: EncodingRate, { frameRateHz }: EncoderOptions): boolean {
  const bitsOf = (one: EncodingRate): number => (one.bitsPerSecond * frameRateHz) / one.frameRateHz;
  return Math.abs(bitsOf(rate) / bitsOf(opened) - 1) > REOPEN_RATIO;
}

function encoderOfName(names: Ffmpeg["names"], name: VideoEncoderName) {
  const known = {
    libx264: names.FF_ENCODER_LIBX264,
    h264_nvenc: names.FF_ENCODER_H264_NVENC,
    h264_vaapi: names.FF_ENCODER_H264_VAAPI,
    h264_vulkan: names.FF_ENCODER_H264_VULKAN,
  };
  return known[name];
}
