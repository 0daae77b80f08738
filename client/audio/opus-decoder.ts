/** Opus by the browser's own decoder (WebCodecs). */
import { AUDIO_BLOCK_MS, AUDIO_SAMPLE_RATE_HZ } from "#contracts/media/audio.ts";
import type { BlockDecoder, BlockDecoderEvents } from "./audio-receiver.ts";

const CONFIG = { codec: "opus", sampleRate: AUDIO_SAMPLE_RATE_HZ, numberOfChannels: 2 };
const BLOCK_MICROSECONDS = AUDIO_BLOCK_MS * 1000;

/** Why it cannot be used here; `undefined` where it can. */
export async function explainMissingOpus(): Promise<string | undefined> {
  if (typeof AudioDecoder === "undefined") return "this browser has no AudioDecoder (WebCodecs)";
  const { supported } = await AudioDecoder.isConfigSupported(CONFIG);
  return supported === true ? undefined : "this browser decodes no Opus";
}

/** Blocks that are in the decoder; beyond it the decoder has swallowed them and says nothing. */
const DECODING_MAX = 16;

export function openOpusDecoder({ onBlock, onError }: BlockDecoderEvents): BlockDecoder {
  // Decoders count times on over gaps: what comes out is told by its turn.
  const decoding: number[] = [];
  const decoder = new AudioDecoder({
    output(data) {
      const channel = (planeIndex: number): Float32Array<ArrayBuffer> => {
        const samples = new Float32Array(data.numberOfFrames);
        data.copyTo(samples, { planeIndex, format: "f32-planar" });
        return samples;
      };
      const [left, right] = [channel(0), channel(data.numberOfChannels - 1)];
      data.close();
      const index = decoding.shift();
      if (index !== undefined) onBlock({ index, left, right });
    },
    error: onError,
  });
  decoder.configure(CONFIG);
  return {
    decode(index, opus) {
      if (decoder.state !== "configured") return;
      decoding.push(index);
      if (decoding.length > DECODING_MAX) {
        decoder.close();
        onError();
        return;
      }
      decoder.decode(new EncodedAudioChunk({ type: "key", timestamp: index * BLOCK_MICROSECONDS, data: opus }));
    },
    close() {
      if (decoder.state !== "closed") decoder.close();
    },
  };
}
