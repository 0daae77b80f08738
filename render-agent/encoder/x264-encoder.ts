/** H.264 by libx264 (node-av): baseline, zero latency, a rate buffer of one and a half frames. An optional dependency. */
import { Failure } from "#domain/failure.ts";
import type { AccessUnit, Encoder, EncoderOptions } from "./encoder.ts";

/** Of the pixels' rate: 480×540 stereo at 30 Hz gets 3.9 Mbit/s. */
const BITS_PER_PIXEL = 0.25;
const BITS_PER_SECOND_MIN = 2_000_000;
/** Key frames come on demand; this many frames apart they come anyway. */
const GROUP_FRAMES = 600;
const RATE_BUFFER_FRAMES = 1.5;

/** Throws `encoder-unavailable` where the package is not installed or has no libx264. */
export async function checkX264(): Promise<void> {
  await findCodec();
}

/** Throws as `checkX264`. */
export async function openX264Encoder(options: EncoderOptions): Promise<Encoder> {
  const { widthPixels: width, heightPixels: height, frameRateHz } = options;
  const { av, names, codec } = await findCodec();
  const context = new av.CodecContext();
  context.allocContext3(codec);
  context.width = width;
  context.height = height;
  context.pixelFormat = names.AV_PIX_FMT_YUV420P;
  context.timeBase = new av.Rational(1, frameRateHz);
  context.framerate = new av.Rational(frameRateHz, 1);
  const bitsPerSecond = Math.max(BITS_PER_SECOND_MIN, Math.round(width * height * frameRateHz * BITS_PER_PIXEL));
  context.bitRate = BigInt(bitsPerSecond);
  context.rcMaxRate = BigInt(bitsPerSecond);
  context.rcBufferSize = Math.round((bitsPerSecond / frameRateHz) * RATE_BUFFER_FRAMES);
  context.gopSize = GROUP_FRAMES;
  context.maxBFrames = 0;
  const settings = {
    preset: "ultrafast",
    tune: "zerolatency",
    profile: "baseline",
    threads: "1",
    "x264-params": "scenecut=0:repeat-headers=1",
  };
  av.FFmpegError.throwIfError(await context.open2(codec, av.Dictionary.fromObject(settings)), "open the encoder");
  const picture = (format: typeof names.AV_PIX_FMT_RGBA | typeof names.AV_PIX_FMT_YUV420P) => {
    const frame = new av.Frame();
    frame.alloc();
    frame.format = format;
    frame.width = width;
    frame.height = height;
    av.FFmpegError.throwIfError(frame.getBuffer(), "allocate a picture");
    return frame;
  };
  const [rgba, yuv] = [picture(names.AV_PIX_FMT_RGBA), picture(names.AV_PIX_FMT_YUV420P)];
  const scale = new av.SoftwareScaleContext();
  scale.getContext(width, height, names.AV_PIX_FMT_RGBA, width, height, names.AV_PIX_FMT_YUV420P, names.SWS_POINT);
  const packet = new av.Packet();
  packet.alloc();
  let count = 0n;
  return {
    codec: "h264",
    encode(pixels: Uint8Array, key: boolean): AccessUnit {
      const source = Buffer.from(pixels.buffer, pixels.byteOffset, pixels.byteLength);
      av.FFmpegError.throwIfError(rgba.fromBuffer(source), "take the pixels");
      if (!yuv.isWritable) yuv.makeWritable();
      av.FFmpegError.throwIfError(scale.scaleFrameSync(yuv, rgba), "convert the colours");
      yuv.pts = count;
      yuv.pictType = key ? names.AV_PICTURE_TYPE_I : names.AV_PICTURE_TYPE_NONE;
      count += 1n;
      av.FFmpegError.throwIfError(context.sendFrameSync(yuv), "encode");
      av.FFmpegError.throwIfError(context.receivePacketSync(packet), "take the access unit");
      const unit = { bytes: new Uint8Array(packet.data ?? []), key: packet.isKeyframe };
      packet.unref();
      return unit;
    },
    [Symbol.dispose]() {
      context.freeContext();
      rgba.free();
      yuv.free();
      packet.free();
      scale.freeContext();
    },
  };
}

async function findCodec() {
  const [av, names] = await loadPackage();
  const codec = av.Codec.findEncoderByName(names.FF_ENCODER_LIBX264);
  if (codec === null) throw new Failure("encoder-unavailable", "node-av is built without libx264");
  return { av, names, codec };
}

async function loadPackage() {
  try {
    const loaded = await Promise.all([import("node-av/lib"), import("node-av/constants")]);
    loaded[0].Log.setLevel(loaded[1].AV_LOG_ERROR);
    return loaded;
  } catch (cause) {
    throw new Failure("encoder-unavailable", "the optional package node-av is not installed: npm ci brings it", {
      cause,
    });
  }
}
