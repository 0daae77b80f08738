/**
 * Decides what an object is worth keeping: Greedy-Dual-Size-Frequency (Cherkasova 1998) that remembers how often an
 * object was used before it left. Pure: the same calls give the same answers.
 *
 * The priority of an object is `clock + weight(frequency) / bytes`, the least leaves first, and the clock is the
 * priority of what left last: so an object that is not used any more is overtaken by what comes, without being touched.
 * Every call is O(1).
 */
import { assert } from "#domain/assert.ts";

/** Uses that count: one that was popular for a day is not kept for a month. */
export const FREQUENCY_MAX = 31;
/** Above one: what came back twice comes back more than twice as surely. */
const FREQUENCY_EXPONENT = 1.25;
const FREQUENCY_BITS = 5;
const FREQUENCY_MASK = FREQUENCY_MAX;
const WEIGHTS = Float64Array.from({ length: FREQUENCY_MAX + 1 }, (_, uses) => uses ** FREQUENCY_EXPONENT);

/** A quarter of a megabyte: what a small store forgets it would have been glad of. */
export const HISTORY_ENTRIES_MIN = 65_536;
/** Four megabytes. */
export const HISTORY_ENTRIES_MAX = 1_048_576;
/** A history some times as long as what is stored: objects of the web are larger than that. */
const HISTORY_BYTES_EACH = 8192;

/** A power of two, for a store of `bytesMax`. */
export function historyEntriesFor(bytesMax: number): number {
  const wanted = 2 ** Math.ceil(Math.log2(Math.max(1, bytesMax / HISTORY_BYTES_EACH)));
  return Math.min(HISTORY_ENTRIES_MAX, Math.max(HISTORY_ENTRIES_MIN, wanted));
}

/** How often what has left was used: a table without chains, in which the newer takes the place of the older. */
class FrequencyHistory {
  /** A fingerprint, and in the low bits the frequency; nought is nothing. */
  readonly #entries: Uint32Array;
  readonly #shift: number;
  #hand = 0;

  constructor(entries: number) {
    assert(Number.isInteger(Math.log2(entries)) && entries > 1, `${entries} entries: a power of two`);
    this.#entries = new Uint32Array(entries);
    this.#shift = 32 - Math.log2(entries);
  }

  /** With each that leaves one entry is halved, so that in a table's length of them all are. */
  put(hash: number, frequency: number): void {
    this.#entries[hash >>> this.#shift] = ((hash << FREQUENCY_BITS) | frequency) >>> 0;
    this.#hand = (this.#hand + 1) % this.#entries.length;
    const aged = this.#entries[this.#hand] ?? 0;
    this.#entries[this.#hand] = ((aged & ~FREQUENCY_MASK) | ((aged & FREQUENCY_MASK) >>> 1)) >>> 0;
  }

  find(hash: number): number {
    const entry = this.#entries[hash >>> this.#shift] ?? 0;
    return (entry ^ (hash << FREQUENCY_BITS)) >>> FREQUENCY_BITS === 0 ? entry & FREQUENCY_MASK : 0;
  }
}

export interface EvictionPolicyOptions {
  /** A power of two; `historyEntriesFor` has it. */
  readonly historyEntries: number;
  /** Where an earlier run was: the least priority that is kept. */
  readonly clock?: number;
}

export class EvictionPolicy {
  readonly #history: FrequencyHistory;
  #clock: number;

  constructor({ historyEntries, clock = 0 }: EvictionPolicyOptions) {
    this.#history = new FrequencyHistory(historyEntries);
    this.#clock = clock;
  }

  /** Of an object that comes in: what is remembered of it, and this use. */
  firstFrequency(hash: number): number {
    return Math.min(FREQUENCY_MAX, this.#history.find(hash) + 1);
  }

  /** `frequency` is 1 to `FREQUENCY_MAX`; grows with the frequency, and never falls with time. */
  priorityOf(frequency: number, bytes: number): number {
    return this.#clock + (WEIGHTS[frequency] ?? 0) / bytes;
  }

  /** The one of the least priority has left. */
  evicted(hash: number, frequency: number, priority: number): void {
    this.#clock = Math.max(this.#clock, priority);
    this.#history.put(hash, frequency);
  }
}

/** FNV-1a over UTF-16 units, mixed so that all bits depend on all of them; 32 bits. */
export function hashOf(text: string): number {
  let hash = 0x811c_9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x0100_0193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x21f0_aaad);
  hash = Math.imul(hash ^ (hash >>> 15), 0x735a_2d97);
  return (hash ^ (hash >>> 15)) >>> 0;
}
