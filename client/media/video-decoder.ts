/** H.264 by WebCodecs: Annex B access units of the baseline profile in, one picture out for each, at once. */
import type { DecoderEvents, FrameDecoder } from "./receiver.ts";

/** Baseline, level 4.0: what agents encode. */
const CONFIG: VideoDecoderConfig = { codec: "avc1.42E028", optimizeForLatency: true };
/** WebCodecs carries a time through the decoder: here it is the frame's number. */
const MICROSECONDS_PER_FRAME = 1000;

/** What is wrong, in words, where this browser can show pictures of no codec; `undefined` where it can. */
export function explainMissingPictures(): string | undefined {
  if (typeof VideoFrame !== "undefined") return undefined;
  return isSecureContext
    ? "this browser has no WebCodecs: use a current Chrome, Edge, Safari or Firefox"
    : "WebCodecs needs a secure page: open it over https or on localhost";
}

/** What is wrong, in words, where this browser cannot decode video; `undefined` where it can. */
export async function explainMissingH264(): Promise<string | undefined> {
  if (typeof VideoDecoder === "undefined") return "this browser decodes no video by WebCodecs";
  const { supported } = await VideoDecoder.isConfigSupported(CONFIG);
  return supported === true ? undefined : "this browser was built without H.264";
}

export function openVideoDecoder(events: DecoderEvents<VideoFrame>): FrameDecoder {
  const decoder = new VideoDecoder({
    output: (picture) => events.onPicture(picture, Math.round(picture.timestamp / MICROSECONDS_PER_FRAME)),
    error: (error) => events.onError(error.message),
  });
  decoder.configure(CONFIG);
  return {
    get queue() {
      return decoder.decodeQueueSize;
    },
    decode({ header, accessUnit }) {
      const timestamp = header.frameNumber * MICROSECONDS_PER_FRAME;
      const type = header.key ? "key" : "delta";
      // The chunk copies what it is given.
      decoder.decode(new EncodedVideoChunk({ type, timestamp, data: accessUnit }));
    },
    close() {
      if (decoder.state !== "closed") decoder.close();
    },
  };
}
