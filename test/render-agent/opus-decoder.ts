/** Opus packets to samples by FFmpeg's own decoder, which has nothing in common with the encoder. */
import { AV_CHANNEL_LAYOUT_STEREO, AV_CODEC_ID_OPUS } from "node-av/constants";
import { Codec, CodecContext, FFmpegError, Frame, Packet } from "node-av/lib";

export interface OpusDecoder extends Disposable {
  decode(opus: Uint8Array): { readonly left: Float32Array; readonly right: Float32Array };
}

export function openOpusDecoder(): OpusDecoder {
  const codec = Codec.findDecoder(AV_CODEC_ID_OPUS);
  if (codec === null) throw new Error("node-av has no Opus decoder");
  const context = new CodecContext();
  context.allocContext3(codec);
  context.sampleRate = 48_000;
  context.channelLayout = AV_CHANNEL_LAYOUT_STEREO;
  FFmpegError.throwIfError(context.open2Sync(codec), "open the decoder");
  const [packet, frame] = [new Packet(), new Frame()];
  packet.alloc();
  frame.alloc();
  const plane = (index: number): Float32Array => {
    const bytes = frame.data?.[index];
    if (bytes === undefined) throw new Error(`no plane ${index}`);
    return new Float32Array(Uint8Array.from(bytes).buffer, 0, frame.nbSamples);
  };
  return {
    decode(opus) {
      packet.data = Buffer.from(opus);
      FFmpegError.throwIfError(context.sendPacketSync(packet), "send a packet");
      FFmpegError.throwIfError(context.receiveFrameSync(frame), "receive its samples");
      const samples = { left: plane(0), right: plane(1) };
      frame.unref();
      packet.unref();
      return samples;
    },
    [Symbol.dispose]() {
      context.freeContext();
      packet.free();
      frame.free();
    },
  };
}
