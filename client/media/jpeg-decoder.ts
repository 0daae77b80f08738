/** JPEG pictures, each by itself: what agents send that have no video encoder. */
import type { DecoderEvents, FrameDecoder } from "./receiver.ts";

export function openJpegDecoder(events: DecoderEvents<VideoFrame>): FrameDecoder {
  let queue = 0;
  let newest = 0;
  let closed = false;
  const decode = async (frameNumber: number, unit: Uint8Array<ArrayBuffer>): Promise<void> => {
    const bitmap = await createImageBitmap(new Blob([unit], { type: "image/jpeg" }));
    // Pictures may be ready in another order than they came; one that is late is of no use.
    const isWanted = !closed && frameNumber > newest;
    newest = Math.max(newest, frameNumber);
    if (isWanted) {
      events.onPicture(new VideoFrame(bitmap, { timestamp: 0 }), frameNumber);
    }
    bitmap.close();
  };
  return {
    get queue() {
      return queue;
    },
    decode({ header, accessUnit }) {
      queue += 1;
      void decode(header.frameNumber, accessUnit.slice())
        .catch((error: unknown) => {
          if (closed) return;
          closed = true;
          events.onError(String(error));
        })
        .finally(() => {
          queue -= 1;
        });
    },
    close() {
      closed = true;
    },
  };
}
