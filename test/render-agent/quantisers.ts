/** The quantiser of each macroblock of an H.264 picture, as FFmpeg's decoder tells it (libavutil/video_enc_params.h). */
import { AV_CODEC_ID_H264, AV_FRAME_DATA_VIDEO_ENC_PARAMS } from "node-av/constants";
import { Codec, CodecContext, FFmpegError, Frame, Packet } from "node-av/lib";

const MACROBLOCK_PIXELS = 16;
/** Where AVVideoEncParams has what is read of it, on machines of 64 bits. */
const PARAMS = { blocks: 0, blocksOffset: 8, blockBytes: 16, quantiser: 28 } as const;
/** Where AVVideoBlockParams has it. */
const BLOCK = { x: 0, y: 4, quantiserAbove: 16 } as const;

/** Rows of macroblocks from the top, each from the left; 0 to 51, higher is coarser. Throws for what is no key frame. */
export function quantisersOf(keyFrame: Uint8Array): readonly (readonly number[])[] {
  const codec = Codec.findDecoder(AV_CODEC_ID_H264);
  if (codec === null) throw new Error("node-av has no decoder of H.264");
  const context = new CodecContext();
  context.allocContext3(codec);
  FFmpegError.throwIfError(context.setOption("export_side_data", "venc_params"), "ask for quantisers");
  FFmpegError.throwIfError(context.open2Sync(codec), "open the decoder");
  const [packet, frame] = [new Packet(), new Frame()];
  packet.alloc();
  frame.alloc();
  packet.data = Buffer.from(keyFrame);
  FFmpegError.throwIfError(context.sendPacketSync(packet), "send a key frame");
  FFmpegError.throwIfError(context.receiveFrameSync(frame), "receive its picture");
  const params = frame.getSideData(AV_FRAME_DATA_VIDEO_ENC_PARAMS);
  if (params === null) throw new Error("the decoder tells no quantisers");
  const rows = rowsIn(params);
  context.freeContext();
  packet.free();
  frame.free();
  return rows;
}

function rowsIn(params: Buffer): readonly (readonly number[])[] {
  const [offset, bytes] = [PARAMS.blocksOffset, PARAMS.blockBytes].map((at) => Number(params.readBigUInt64LE(at)));
  const ofPicture = params.readInt32LE(PARAMS.quantiser);
  const rows: number[][] = [];
  for (let index = 0; index < params.readUInt32LE(PARAMS.blocks); index += 1) {
    const at = (offset ?? 0) + index * (bytes ?? 0);
    const row = params.readInt32LE(at + BLOCK.y) / MACROBLOCK_PIXELS;
    const column = params.readInt32LE(at + BLOCK.x) / MACROBLOCK_PIXELS;
    rows[row] ??= [];
    (rows[row] ?? [])[column] = ofPicture + params.readInt32LE(at + BLOCK.quantiserAbove);
  }
  return rows;
}
