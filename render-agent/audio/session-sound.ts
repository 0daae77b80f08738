/**
 * The sound of a session: a block each 10 ms by the clock that frames are stamped by, mixed for where the head is,
 * encoded and handed to its connection at once. Nothing is queued, and nothing runs while nobody listens or nothing sounds.
 */
import { AUDIO_BLOCK_MS, type AudioPacket, encodeAudio, OPUS_BYTES_MAX } from "#contracts/media/audio.ts";
import type { Clock } from "#platform/clock.ts";
import { planBlocks } from "./block-plan.ts";
import { Mixer } from "./mixer.ts";
import type { AudioEncoder } from "./opus-encoder.ts";
import type { Head } from "./placing.ts";
import type { Sound } from "./scene-sounds.ts";

/** After the last sound, so that it has rung out in the decoder and in a client's buffer before nothing comes. */
const TRAILING_BLOCKS = 8;

export interface SoundPorts {
  readonly clock: Pick<Clock, "monotonicMs" | "timer">;
  /** Between that clock and the stamps of frames. */
  readonly epochOffsetMs: number;
  readonly sounds: readonly Sound[];
  readonly encoder: AudioEncoder;
  /** False where a packet was dropped. */
  readonly send: (bytes: Uint8Array<ArrayBuffer>) => boolean;
}

export class SessionSound implements Disposable {
  readonly #ports: SoundPorts;
  readonly #mixer: Mixer;
  #timer: Disposable | undefined;
  #isHeard = false;
  /** When the next block begins. */
  #dueMs: number;
  #sequence = 0;
  #trailing = 0;
  /** Of the block before, where that was made. */
  #previousOpus: Uint8Array | undefined;

  constructor(ports: SoundPorts) {
    this.#ports = ports;
    this.#mixer = new Mixer(ports.sounds);
    this.#dueMs = ports.clock.monotonicMs();
  }

  setHead(head: Head): void {
    this.#mixer.setHead(head);
  }

  /** Of `SOUND_FLOATS` each. */
  apply(values: Float32Array): void {
    this.#passTime();
    this.#mixer.apply(values);
    this.#wake();
  }

  /** Idempotent. */
  listen(isHeard: boolean): void {
    this.#isHeard = isHeard;
    if (isHeard) this.#wake();
    else this.#rest();
  }

  [Symbol.dispose](): void {
    this.listen(false);
    this.#ports.encoder[Symbol.dispose]();
  }

  #rest(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#previousOpus = undefined;
  }

  /** What sounds goes on while nobody hears it. */
  #passTime(): void {
    if (this.#timer !== undefined) return;
    const { skipped, made } = planBlocks(this.#ports.clock.monotonicMs(), this.#dueMs);
    this.#mixer.elapse(skipped + made);
    this.#dueMs += (skipped + made) * AUDIO_BLOCK_MS;
  }

  #wake(): void {
    if (!this.#isHeard || this.#timer !== undefined) return;
    this.#passTime();
    if (!this.#mixer.isActive) return;
    this.#trailing = TRAILING_BLOCKS;
    this.#schedule();
  }

  #schedule(): void {
    const { clock } = this.#ports;
    this.#timer = clock.timer(Math.max(0, this.#dueMs - clock.monotonicMs()), () => this.#run());
  }

  #run(): void {
    const { skipped, made } = planBlocks(this.#ports.clock.monotonicMs(), this.#dueMs);
    if (skipped > 0) {
      this.#mixer.elapse(skipped);
      this.#dueMs += skipped * AUDIO_BLOCK_MS;
      this.#previousOpus = undefined;
    }
    let isLast = false;
    for (let block = 0; block < made && !isLast; block += 1) isLast = this.#makeBlock();
    if (isLast) this.#rest();
    else this.#schedule();
  }

  /** True of the last one. */
  #makeBlock(): boolean {
    const { encoder, epochOffsetMs, send } = this.#ports;
    this.#trailing = this.#mixer.isActive ? TRAILING_BLOCKS : this.#trailing - 1;
    const isLast = this.#trailing === 0;
    const opus = encoder.encode(this.#mixer.mix());
    const previousOpus = this.#previousOpus;
    const stampMs = epochOffsetMs + this.#dueMs;
    this.#dueMs += AUDIO_BLOCK_MS;
    // No rate that is asked for makes one so large; it would be lost like any other.
    this.#previousOpus = opus.byteLength <= OPUS_BYTES_MAX ? opus : undefined;
    this.#sequence += 1;
    const packet: AudioPacket = { sequence: this.#sequence, stampMs, opus, isLast };
    if (this.#previousOpus === undefined) return isLast;
    send(encodeAudio(previousOpus === undefined ? packet : { ...packet, previousOpus }));
    return isLast;
  }
}
