/** The port of what encodes sound, and Opus (RFC 6716) by libopus in FFmpeg (node-av, optional): low delay, 10 ms. */
import {
  AUDIO_BITS_PER_SECOND,
  AUDIO_BLOCK_FRAMES,
  AUDIO_BLOCK_MS,
  AUDIO_SAMPLE_RATE_HZ,
} from "#contracts/media/audio.ts";
import { Failure } from "#domain/failure.ts";
import { type Ffmpeg, loadFfmpeg } from "../encoder/ffmpeg.ts";
import type { Block } from "./mixer.ts";

export interface AudioEncoder extends Disposable {
  /** One block, left and right in turn; nothing is held back. Blocks for a tenth of a millisecond. */
  encode(block: Block): Uint8Array<ArrayBuffer>;
}

const OPTIONS = {
  application: "lowdelay",
  frame_duration: String(AUDIO_BLOCK_MS),
  vbr: "constrained",
  compression_level: "5",
};

/** Throws `encoder-unavailable` where the package is not installed, or has no libopus. */
export async function openOpusEncoder(): Promise<AudioEncoder> {
  const ffmpeg = await loadFfmpeg();
  const { av } = ffmpeg;
  const context = openContext(ffmpeg);
  const [frame, packet] = [openFrame(ffmpeg), new av.Packet()];
  packet.alloc();
  let count = 0n;
  return {
    encode(block) {
      av.FFmpegError.throwIfError(frame.makeWritable(), "take a block of sound");
      frame.data?.[0]?.set(new Uint8Array(block.buffer, block.byteOffset, block.byteLength));
      frame.pts = count * BigInt(AUDIO_BLOCK_FRAMES);
      count += 1n;
      av.FFmpegError.throwIfError(context.sendFrameSync(frame), "encode sound");
      av.FFmpegError.throwIfError(context.receivePacketSync(packet), "take the Opus packet");
      const bytes = new Uint8Array(packet.data ?? []);
      packet.unref();
      return bytes;
    },
    [Symbol.dispose]() {
      context.freeContext();
      packet.free();
      frame.free();
    },
  };
}

function openContext({ av, names }: Ffmpeg) {
  const codec = av.Codec.findEncoderByName(names.FF_ENCODER_LIBOPUS);
  if (codec === null) throw new Failure("encoder-unavailable", "node-av is built without libopus");
  const context = new av.CodecContext();
  context.allocContext3(codec);
  context.sampleRate = AUDIO_SAMPLE_RATE_HZ;
  context.sampleFormat = names.AV_SAMPLE_FMT_FLT;
  context.channelLayout = names.AV_CHANNEL_LAYOUT_STEREO;
  context.timeBase = new av.Rational(1, AUDIO_SAMPLE_RATE_HZ);
  context.bitRate = BigInt(AUDIO_BITS_PER_SECOND);
  for (const [key, value] of Object.entries(OPTIONS)) {
    const set = context.setOption(key, value, names.AV_OPT_TYPE_STRING, names.AV_OPT_SEARCH_CHILDREN);
    av.FFmpegError.throwIfError(set, `set ${key}`);
  }
  const opened = context.open2Sync(codec);
  if (opened >= 0) return context;
  context.freeContext();
  throw new Failure("encoder-unavailable", `libopus does not work on this machine (${opened})`);
}

function openFrame({ av, names }: Ffmpeg) {
  const frame = new av.Frame();
  frame.alloc();
  frame.nbSamples = AUDIO_BLOCK_FRAMES;
  frame.format = names.AV_SAMPLE_FMT_FLT;
  frame.sampleRate = AUDIO_SAMPLE_RATE_HZ;
  frame.channelLayout = names.AV_CHANNEL_LAYOUT_STEREO;
  av.FFmpegError.throwIfError(frame.getBuffer(0), "make room for sound");
  return frame;
}
