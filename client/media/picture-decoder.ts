/** The decoder that a frame's codec asks for: opened with the first frame, and anew where the codec changes. */
import type { MediaCodec } from "#contracts/media/frame.ts";
import type { DecoderEvents, FrameDecoder } from "./receiver.ts";

export type OpenDecoder<P> = (events: DecoderEvents<P>) => FrameDecoder;

/** Takes frames of a codec that is not there, and gives nothing. */
export const openNoDecoder = (): FrameDecoder => ({ queue: 0, decode: () => undefined, close: () => undefined });

export function openPictureDecoder<P>(
  openers: Readonly<Record<MediaCodec, OpenDecoder<P>>>,
  events: DecoderEvents<P>,
): FrameDecoder {
  let open: { readonly codec: MediaCodec; readonly decoder: FrameDecoder } | undefined;
  return {
    get queue() {
      return open?.decoder.queue ?? 0;
    },
    decode(frame) {
      const { codec } = frame.header;
      if (open?.codec !== codec) {
        open?.decoder.close();
        open = { codec, decoder: openers[codec](events) };
      }
      open.decoder.decode(frame);
    },
    close() {
      open?.decoder.close();
    },
  };
}
