/** From packets to decoded blocks by their place in time: what was lost is taken from the next packet, what is late is dropped. */
import { AUDIO_BLOCK_FRAMES, AUDIO_BLOCK_MS, type AudioPacket, decodeAudio } from "#contracts/media/audio.ts";
import { isFailure } from "#domain/failure.ts";

/** Of blocks, 497 days: their frames are counted exactly, also by an audio thread that a stranger's stamps come to. */
const INDEX_MAX = 2 ** 32;

export interface AudioBlock {
  /** By its place: blocks since the first of the connection. */
  readonly index: number;
  readonly left: Float32Array<ArrayBuffer>;
  readonly right: Float32Array<ArrayBuffer>;
}

export interface BlockDecoder {
  decode(index: number, opus: Uint8Array): void;
  close(): void;
}

export interface BlockDecoderEvents {
  onBlock(block: AudioBlock): void;
  /** Nothing follows from this decoder. */
  onError(): void;
}

export interface AudioReceiverPorts {
  readonly openDecoder: (events: BlockDecoderEvents) => BlockDecoder;
  readonly onBlock: (block: AudioBlock) => void;
  /** After this frame nothing sounds for a while. */
  readonly onRest: (frame: number) => void;
}

export interface AudioCounts {
  readonly packetsReceived: number;
  /** Their blocks were never heard. */
  readonly packetsLost: number;
  /** Lost, and heard from the packet after. */
  readonly packetsRepaired: number;
  /** Came after one that was sent later, or its stamp is of no time of the session. */
  readonly packetsLate: number;
}

export interface AudioReceiver {
  add(bytes: Uint8Array): void;
  counts(): AudioCounts;
  /** The stamp of a frame of blocks, and the frame of a stamp; `undefined` before the first. */
  stampMsOf(frame: number): number | undefined;
  frameOf(stampMs: number): number | undefined;
  close(): void;
}

export function createAudioReceiver({ openDecoder, onBlock, onRest }: AudioReceiverPorts): AudioReceiver {
  const counts = { packetsReceived: 0, packetsLost: 0, packetsRepaired: 0, packetsLate: 0 };
  let [lastSequence, lastIndex, isClosed] = [0, -1, false];
  let firstStampMs: number | undefined;
  const events: BlockDecoderEvents = {
    onBlock,
    onError() {
      if (!isClosed) decoder = openDecoder(events);
    },
  };
  let decoder = openDecoder(events);
  const decode = (index: number, opus: Uint8Array): void => {
    lastIndex = index;
    decoder.decode(index, opus);
  };
  const take = ({ sequence, stampMs, opus, previousOpus, isLast }: AudioPacket): void => {
    firstStampMs ??= stampMs;
    const index = Math.round((stampMs - firstStampMs) / AUDIO_BLOCK_MS);
    const missed = lastSequence === 0 ? 0 : sequence - lastSequence - 1;
    if (missed < 0 || index <= lastIndex || index > INDEX_MAX) {
      counts.packetsLate += 1;
      return;
    }
    const isRepaired = missed > 0 && previousOpus !== undefined && index - 1 > lastIndex;
    counts.packetsReceived += 1;
    counts.packetsRepaired += isRepaired ? 1 : 0;
    counts.packetsLost += missed - (isRepaired ? 1 : 0);
    if (isRepaired) decode(index - 1, previousOpus);
    decode(index, opus);
    lastSequence = sequence;
    if (isLast) onRest((index + 1) * AUDIO_BLOCK_FRAMES);
  };
  return {
    add(bytes) {
      const packet = isClosed ? undefined : readPacket(bytes);
      if (packet !== undefined) take(packet);
    },
    counts: () => ({ ...counts }),
    stampMsOf: (frame) =>
      firstStampMs === undefined ? undefined : firstStampMs + (frame / AUDIO_BLOCK_FRAMES) * AUDIO_BLOCK_MS,
    frameOf: (stampMs) =>
      firstStampMs === undefined ? undefined : ((stampMs - firstStampMs) / AUDIO_BLOCK_MS) * AUDIO_BLOCK_FRAMES,
    close() {
      isClosed = true;
      decoder.close();
    },
  };
}

/** `undefined` for what is none. */
function readPacket(bytes: Uint8Array): AudioPacket | undefined {
  try {
    return decodeAudio(bytes);
  } catch (error) {
    if (isFailure(error, "media-invalid")) return undefined;
    throw error;
  }
}
