/** Decodes access units, one in and one picture out, to see what an encoder made. */
import { AV_CODEC_ID_H264 } from "node-av/constants";
import { Codec, CodecContext, FFmpegError, Frame, Packet } from "node-av/lib";

export interface GreyPicture {
  readonly widthPixels: number;
  readonly heightPixels: number;
  /** Rows of luma without padding. */
  readonly luma: Uint8Array;
}

export interface H264Decoder extends Disposable {
  /** Throws for what is no access unit, or needs one that was not given. */
  decode(accessUnit: Uint8Array): GreyPicture;
}

export function openH264Decoder(): H264Decoder {
  const codec = Codec.findDecoder(AV_CODEC_ID_H264);
  if (codec === null) throw new Error("node-av has no H.264 decoder");
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
      const picture = { widthPixels: width, heightPixels: height, luma: frame.toBuffer().subarray(0, width * height) };
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

/** Mean absolute difference of two pictures of one size, 0 to 255. */
export function differenceOf(a: GreyPicture, b: GreyPicture): number {
  let sum = 0;
  for (const [at, value] of a.luma.entries()) sum += Math.abs(value - (b.luma[at] ?? 0));
  return sum / a.luma.length;
}
