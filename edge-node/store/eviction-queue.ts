/**
 * Objects in the order in which they leave, by an eviction policy: a binary heap over slots. Pure.
 *
 * A use only raises a priority, so it is noted and the heap is put right when the object comes to its top: `touch` is
 * O(1), `add`, `resize`, `remove` and `evict` are O(log n), amortised over the uses. A slot takes 37 bytes.
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

/** One row of arrays for each slot; all of one length. */
class Slots {
  priority = new Float64Array(SLOTS_AT_FIRST);
  /** What the heap is ordered by: not above the priority. */
  queued = new Float64Array(SLOTS_AT_FIRST);
  bytes = new Float64Array(SLOTS_AT_FIRST);
  hash = new Uint32Array(SLOTS_AT_FIRST);
  place = new Int32Array(SLOTS_AT_FIRST).fill(NOWHERE);
  frequency = new Uint8Array(SLOTS_AT_FIRST);

  double(): void {
    const length = this.priority.length * 2;
    this.priority = grown(this.priority, new Float64Array(length));
    this.queued = grown(this.queued, new Float64Array(length));
    this.bytes = grown(this.bytes, new Float64Array(length));
    this.hash = grown(this.hash, new Uint32Array(length));
    this.place = grown(this.place, new Int32Array(length).fill(NOWHERE));
    this.frequency = grown(this.frequency, new Uint8Array(length));
  }
}

function grown<T extends Float64Array | Uint32Array | Int32Array | Uint8Array>(from: T, to: T): T {
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
    if (slot === this.#slots.priority.length) this.#grow();
    const frequency = this.#policy.firstFrequency(hash);
    this.#slots.hash[slot] = hash;
    this.#slots.bytes[slot] = bytes;
    this.#slots.frequency[slot] = frequency;
    this.#slots.place[slot] = this.#size;
    this.#heap[this.#size] = slot;
    this.#size += 1;
    this.#requeue(slot, this.#policy.priorityOf(frequency, bytes));
    return slot;
  }

  touch(slot: number): void {
    const slots = this.#slots;
    const frequency = Math.min(FREQUENCY_MAX, (slots.frequency[slot] ?? 0) + 1);
    slots.frequency[slot] = frequency;
    slots.priority[slot] = this.#policy.priorityOf(frequency, slots.bytes[slot] ?? 1);
  }

  resize(slot: number, bytes: number): void {
    assert(this.#slots.place[slot] !== NOWHERE, `slot ${slot} is in use`);
    this.#slots.bytes[slot] = bytes;
    this.#requeue(slot, this.#policy.priorityOf(this.#slots.frequency[slot] ?? 1, bytes));
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
    const slots = this.#slots;
    while (this.#size > 0) {
      const slot = this.#at(0);
      const priority = slots.priority[slot] ?? 0;
      if (priority > (slots.queued[slot] ?? 0)) {
        slots.queued[slot] = priority;
        this.#down(slot);
      } else {
        this.#policy.evicted(slots.hash[slot] ?? 0, slots.frequency[slot] ?? 1, priority);
        this.remove(slot);
        return slot;
      }
    }
    return undefined;
  }

  #requeue(slot: number, priority: number): void {
    this.#slots.priority[slot] = priority;
    this.#slots.queued[slot] = priority;
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
    return this.#slots.queued[slot] ?? 0;
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
