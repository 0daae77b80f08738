/**
 * The last complete state of an app, from its thread to the one that draws. Three buffers in shared memory: one is being
 * written, one is being read, and the third is exchanged for either by one atomic number, so that nobody waits, nothing
 * is copied and no state is seen half written.
 */
import type { Transforms } from "../renderer/objects.ts";

const HEADER = { exchanged: 0, ticks: 1, refused: 2 } as const;
const HEADER_BYTES = 16;
const BUFFERS = 3;
/** Beside the number of the exchanged buffer: it is newer than what is being read. */
const FRESH = 4;
const NUMBER = 3;

/** All three begin as `initial`. */
export function createStateMemory(initial: Float32Array): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(HEADER_BYTES + BUFFERS * initial.byteLength);
  for (const buffer of buffersOf(memory)) buffer.set(initial);
  Atomics.store(new Int32Array(memory), HEADER.exchanged, 1);
  return memory;
}

function buffersOf(memory: SharedArrayBuffer): readonly Transforms[] {
  const length = (memory.byteLength - HEADER_BYTES) / (BUFFERS * Float32Array.BYTES_PER_ELEMENT);
  return Array.from({ length: BUFFERS }, (_, index) => {
    return new Float32Array(memory, HEADER_BYTES + index * length * Float32Array.BYTES_PER_ELEMENT, length);
  });
}

function pick(buffers: readonly Transforms[], number: number): Transforms {
  const buffer = buffers[number & NUMBER];
  if (buffer === undefined) throw new Error(`no buffer ${number}`);
  return buffer;
}

/** The one writer of a memory. */
export class StateWriter {
  readonly #header: Int32Array;
  readonly #buffers: readonly Transforms[];
  #own = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#header = new Int32Array(memory, 0, HEADER_BYTES / Int32Array.BYTES_PER_ELEMENT);
    this.#buffers = buffersOf(memory);
  }

  /** To be filled whole: it has some older state. */
  get values(): Transforms {
    return pick(this.#buffers, this.#own);
  }

  /** What was filled is the newest state. */
  publish(): void {
    this.#own = Atomics.exchange(this.#header, HEADER.exchanged, this.#own | FRESH) & NUMBER;
  }

  /** A tick is over, published or not. */
  countTick(): void {
    Atomics.add(this.#header, HEADER.ticks, 1);
  }

  countRefused(): number {
    return Atomics.add(this.#header, HEADER.refused, 1) + 1;
  }
}

/** The one reader of a memory. */
export class StateReader {
  readonly #header: Int32Array;
  readonly #buffers: readonly Transforms[];
  #own = 2;

  constructor(memory: SharedArrayBuffer) {
    this.#header = new Int32Array(memory, 0, HEADER_BYTES / Int32Array.BYTES_PER_ELEMENT);
    this.#buffers = buffersOf(memory);
  }

  /** Stays as it is until the next call. */
  latest(): Transforms {
    if ((Atomics.load(this.#header, HEADER.exchanged) & FRESH) !== 0) {
      this.#own = Atomics.exchange(this.#header, HEADER.exchanged, this.#own) & NUMBER;
    }
    return pick(this.#buffers, this.#own);
  }

  get ticks(): number {
    return Atomics.load(this.#header, HEADER.ticks);
  }

  /** States that were not taken. */
  get refused(): number {
    return Atomics.load(this.#header, HEADER.refused);
  }
}
