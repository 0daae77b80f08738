/**
 * Objects in the order in which they leave, by an eviction policy: a binary heap over slots. Pure.
 *
 * A use only raises a priority, so it is noted and the heap is put right when the object comes to its top: `touch` is
 * O(1), `add`, `resize`, `remove` and `evict` are O(log n), amortised over the uses. A slot takes 44 bytes.
 */
import { assert } from "#domain/assert.ts";
import { FREQUENCY_MAX } from "./eviction-policy.ts";

/** What the queue asks of a policy; the benchmark's peers have their own. */
export interface QueuePolicy {
  firstFrequency(hash: number): number;
  priorityOf(frequency: number, bytes: number): number;
  evicted(hash: number, frequency: number, priority: number): void;
}

const SLOTS_AT_FIRST = 1024;
const NOWHERE = -1;

/** What a use reads and writes of a slot is 32 bytes in a row, so that it costs one cache line. */
const FIELDS = 4;
const PRIORITY = 0;
/** What the heap is ordered by: not above the priority. */
const QUEUED = 1;
const BYTES = 2;
const FREQUENCY = 3;

/** Arrays of one length, in slots. */
class Slots {
  worth = new Float64Array(SLOTS_AT_FIRST * FIELDS);
  hash = new Uint32Array(SLOTS_AT_FIRST);
  place = new Int32Array(SLOTS_AT_FIRST).fill(NOWHERE);

  get length(): number {
    return this.hash.length;
  }

  double(): void {
    const length = this.length * 2;
    this.worth = grown(this.worth, new Float64Array(length * FIELDS));
    this.hash = grown(this.hash, new Uint32Array(length));
    this.place = grown(this.place, new Int32Array(length).fill(NOWHERE));
  }
}

function grown<T extends Float64Array | Uint32Array | Int32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

export class EvictionQueue {
  readonly #policy: QueuePolicy;
  readonly #slots = new Slots();
  readonly #free: number[] = [];
  #heap = new Int32Array(SLOTS_AT_FIRST);
  #size = 0;

  constructor(policy: QueuePolicy) {
    this.#policy = policy;
  }

  get size(): number {
    return this.#size;
  }

  /** Answers the slot that the object has until it leaves; slots are small numbers and are used again. */
  add(hash: number, bytes: number): number {
    const slot = this.#free.pop() ?? this.#size;
    if (slot === this.#slots.length) this.#grow();
    this.#slots.hash[slot] = hash;
    this.#slots.worth[slot * FIELDS + FREQUENCY] = this.#policy.firstFrequency(hash);
    this.#slots.place[slot] = this.#size;
    this.#heap[this.#size] = slot;
    this.#size += 1;
    this.#requeue(slot, bytes);
    return slot;
  }

  touch(slot: number): void {
    const worth = this.#slots.worth;
    const at = slot * FIELDS;
    const frequency = Math.min(FREQUENCY_MAX, (worth[at + FREQUENCY] ?? 0) + 1);
    worth[at + FREQUENCY] = frequency;
    worth[at + PRIORITY] = this.#policy.priorityOf(frequency, worth[at + BYTES] ?? 1);
  }

  resize(slot: number, bytes: number): void {
    assert(this.#slots.place[slot] !== NOWHERE, `slot ${slot} is in use`);
    this.#requeue(slot, bytes);
  }

  remove(slot: number): void {
    const place = this.#slots.place[slot] ?? NOWHERE;
    assert(place !== NOWHERE, `slot ${slot} is in use`);
    this.#size -= 1;
    const last = this.#at(this.#size);
    this.#slots.place[slot] = NOWHERE;
    this.#free.push(slot);
    if (last === slot) return;
    this.#put(last, place);
    this.#up(last);
    this.#down(last);
  }

  /** The slot of what is worth least, which is free from now on; `undefined` where there is nothing. */
  evict(): number | undefined {
    const { worth, hash } = this.#slots;
    while (this.#size > 0) {
      const slot = this.#at(0);
      const at = slot * FIELDS;
      const priority = worth[at + PRIORITY] ?? 0;
      if (priority > (worth[at + QUEUED] ?? 0)) {
        worth[at + QUEUED] = priority;
        this.#down(slot);
      } else {
        this.#policy.evicted(hash[slot] ?? 0, worth[at + FREQUENCY] ?? 1, priority);
        this.remove(slot);
        return slot;
      }
    }
    return undefined;
  }

  #requeue(slot: number, bytes: number): void {
    const worth = this.#slots.worth;
    const at = slot * FIELDS;
    const priority = this.#policy.priorityOf(worth[at + FREQUENCY] ?? 1, bytes);
    worth[at + BYTES] = bytes;
    worth[at + PRIORITY] = priority;
    worth[at + QUEUED] = priority;
    this.#up(slot);
    this.#down(slot);
  }

  #up(slot: number): void {
    const key = this.#keyOf(slot);
    let place = this.#slots.place[slot] ?? 0;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      const above = this.#at(parent);
      if (this.#keyOf(above) <= key) break;
      this.#put(above, place);
      place = parent;
    }
    this.#put(slot, place);
  }

  #down(slot: number): void {
    const key = this.#keyOf(slot);
    let place = this.#slots.place[slot] ?? 0;
    for (let child = place * 2 + 1; child < this.#size; child = place * 2 + 1) {
      const right = child + 1;
      if (right < this.#size && this.#keyOf(this.#at(right)) < this.#keyOf(this.#at(child))) child = right;
      const below = this.#at(child);
      if (this.#keyOf(below) >= key) break;
      this.#put(below, place);
      place = child;
    }
    this.#put(slot, place);
  }

  #at(place: number): number {
    return this.#heap[place] ?? 0;
  }

  #keyOf(slot: number): number {
    return this.#slots.worth[slot * FIELDS + QUEUED] ?? 0;
  }

  #put(slot: number, place: number): void {
    this.#heap[place] = slot;
    this.#slots.place[slot] = place;
  }

  #grow(): void {
    this.#slots.double();
    this.#heap = grown(this.#heap, new Int32Array(this.#heap.length * 2));
  }
}
