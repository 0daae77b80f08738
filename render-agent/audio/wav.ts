/** WAV files of 16-bit PCM (RIFF, Microsoft's Multimedia Programming Interface 1.0) as one channel of 48 kHz. Pure. */
import { AUDIO_SAMPLE_RATE_HZ } from "#contracts/media/audio.ts";
import { Failure } from "#domain/failure.ts";
import type { Samples } from "./synthesis.ts";

const RIFF_HEADER_BYTES = 12;
const CHUNK_HEADER_BYTES = 8;
const FORMAT_BYTES_MIN = 16;
const PCM = 1;
/** Whose format is PCM where its first two bytes say so. */
const EXTENSIBLE = 0xfffe;
const SUB_FORMAT_OFFSET = 24;
const RATES_HZ = { lowest: 8_000, highest: 96_000 };
const CHANNELS_MAX = 2;
/** Of other chunks: tags and cue points. */
const CHUNKS_MAX = 64;

interface Format {
  readonly channels: number;
  readonly rateHz: number;
}

/** Channels are mixed to one, since a sound has one place. Throws `scene-invalid`; `path` is for its message. */
export function readWav(bytes: Uint8Array, path: string): Samples {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const refuse = (what: string): never => {
    throw new Failure("scene-invalid", `scene: ${path}: ${what}`);
  };
  const tagAt = (at: number): string => String.fromCharCode(...bytes.subarray(at, at + 4));
  if (bytes.byteLength < RIFF_HEADER_BYTES || tagAt(0) !== "RIFF" || tagAt(8) !== "WAVE") refuse("must be a WAV file");
  let format: Format | undefined;
  let at = RIFF_HEADER_BYTES;
  for (let chunk = 0; chunk < CHUNKS_MAX && at + CHUNK_HEADER_BYTES <= bytes.byteLength; chunk += 1) {
    const [tag, length] = [tagAt(at), view.getUint32(at + 4, true)];
    const start = at + CHUNK_HEADER_BYTES;
    const end = start + length;
    if (end > bytes.byteLength) refuse(`its chunk ${JSON.stringify(tag)} must end within the file`);
    if (tag === "fmt ") format = readFormat(new DataView(view.buffer, view.byteOffset + start, length), refuse);
    if (tag === "data") {
      if (format === undefined) return refuse("must have its format before its samples");
      const samples = resample(
        mixed(new DataView(view.buffer, view.byteOffset + start, length), format.channels),
        format.rateHz,
      );
      // One of none that loops would be nowhere in itself.
      if (samples.length === 0) refuse("must have samples");
      return samples;
    }
    at = end + (length % 2);
  }
  return refuse("must have samples");
}

function readFormat(view: DataView, refuse: (what: string) => never): Format {
  if (view.byteLength < FORMAT_BYTES_MIN) refuse("its format must be whole");
  const tag = view.getUint16(0, true);
  const isExtended = tag === EXTENSIBLE && view.byteLength >= SUB_FORMAT_OFFSET + 2;
  const coding = isExtended ? view.getUint16(SUB_FORMAT_OFFSET, true) : tag;
  if (coding !== PCM || view.getUint16(14, true) !== 16) refuse("must be PCM of 16 bits");
  const channels = view.getUint16(2, true);
  if (channels < 1 || channels > CHANNELS_MAX) refuse(`must have 1 or ${CHANNELS_MAX} channels, got ${channels}`);
  const rateHz = view.getUint32(4, true);
  if (rateHz < RATES_HZ.lowest || rateHz > RATES_HZ.highest) {
    refuse(`must have ${RATES_HZ.lowest}..${RATES_HZ.highest} samples a second, got ${rateHz}`);
  }
  return { channels, rateHz };
}

function mixed(view: DataView, channels: number): Samples {
  return Int16Array.from({ length: Math.floor(view.byteLength / 2 / channels) }, (_, frame) => {
    let sum = 0;
    for (let channel = 0; channel < channels; channel += 1) {
      sum += view.getInt16((frame * channels + channel) * 2, true);
    }
    return Math.round(sum / channels);
  });
}

/** Linear: what is above a quarter of the rate loses a little. */
function resample(samples: Samples, rateHz: number): Samples {
  if (rateHz === AUDIO_SAMPLE_RATE_HZ) return samples;
  const length = Math.floor((samples.length * AUDIO_SAMPLE_RATE_HZ) / rateHz);
  return Int16Array.from({ length }, (_, index) => {
    const at = (index * rateHz) / AUDIO_SAMPLE_RATE_HZ;
    const [before, after] = [samples[Math.floor(at)] ?? 0, samples[Math.floor(at) + 1] ?? 0];
    return Math.round(before + (after - before) * (at % 1));
  });
}
