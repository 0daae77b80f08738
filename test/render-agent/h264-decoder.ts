/** Decodes access units, one in and one picture out, to see what an encoder made. */
import { AV_CODEC_ID_H264, AV_CODEC_ID_MJPEG, AV_PIX_FMT_RGBA, SWS_BILINEAR } from "node-av/constants";
import { Codec, CodecContext, FFmpegError, Frame, Packet, SoftwareScaleContext } from "node-av/lib";

export interface GreyPicture {
  readonly widthPixels: number;
  readonly heightPixels: number;
  /** Rows of luma without padding. */
  readonly luma: Uint8Array;
  /** Rows of all its colours without padding. */
  readonly rgba: Uint8Array;
}

export interface H264Decoder extends Disposable {
  /** Throws for what is no access unit, or needs one that was not given. */
  decode(accessUnit: Uint8Array): GreyPicture;
}

export function openH264Decoder(): H264Decoder {
  return openDecoder(AV_CODEC_ID_H264);
}

/** FFmpeg's, which has nothing in common with the encoder. */
export function openJpegDecoder(): H264Decoder {
  return openDecoder(AV_CODEC_ID_MJPEG);
}

function openDecoder(codecId: typeof AV_CODEC_ID_H264 | typeof AV_CODEC_ID_MJPEG): H264Decoder {
  const codec = Codec.findDecoder(codecId);
  if (codec === null) throw new Error(`node-av has no decoder ${codecId}`);
  const context = new CodecContext();
  context.allocContext3(codec);
  FFmpegError.throwIfError(context.open2Sync(codec), "open the decoder");
  const [packet, frame] = [new Packet(), new Frame()];
  packet.alloc();
  frame.alloc();
  return {
    decode(accessUnit) {
      packet.data = Buffer.from(accessUnit);
      FFmpegError.throwIfError(context.sendPacketSync(packet), "send an access unit");
      FFmpegError.throwIfError(context.receiveFrameSync(frame), "receive its picture");
      const { width, height } = frame;
      const luma = frame.toBuffer().subarray(0, width * height);
      const picture = { widthPixels: width, heightPixels: height, luma, rgba: inColour(frame) };
      frame.unref();
      return picture;
    },
    [Symbol.dispose]() {
      context.freeContext();
      packet.free();
      frame.free();
    },
  };
}

function inColour(frame: Frame): Uint8Array {
  const { width, height, format } = frame;
  const scale = new SoftwareScaleContext();
  scale.getContext(width, height, format as typeof AV_PIX_FMT_RGBA, width, height, AV_PIX_FMT_RGBA, SWS_BILINEAR);
  const coloured = new Frame();
  coloured.alloc();
  coloured.format = AV_PIX_FMT_RGBA;
  coloured.width = width;
  coloured.height = height;
  FFmpegError.throwIfError(coloured.getBuffer(), "allocate a picture");
  FFmpegError.throwIfError(scale.scaleFrameSync(coloured, frame), "convert the colours");
  const rgba = new Uint8Array(coloured.toBuffer());
  coloured.free();
  scale.freeContext();
  return rgba;
}

/** Mean absolute difference of two pictures of one size, 0 to 255. */
export function differenceOf(a: GreyPicture, b: GreyPicture): number {
  let sum = 0;
  for (const [at, value] of a.luma.entries()) sum += Math.abs(value - (b.luma[at] ?? 0));
  return sum / a.luma.length;
}
