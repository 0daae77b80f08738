/** What each pool holds and might hold, ordered by what a byte of it is worth; values are looked at again only as needed. Pure. */
import { assert } from "../assert.ts";
import { Copies, type Demand, type ServingCosts } from "./copies.ts";
import { IndexedHeap } from "./indexed-heap.ts";

export interface PlannedObject {
  readonly sizeBytes: number;
  readonly demand: Demand;
  /** Pools that hold it at most; undefined: as many as there is room in. */
  readonly copiesMax?: number | undefined;
  /** Whether it may be held there at all; undefined: everywhere. */
  readonly mayBeIn?: ((pool: number) => boolean) | undefined;
}

interface Entry {
  readonly object: PlannedObject;
  readonly copies: Copies;
  /** Grows with each copy that comes or goes. */
  version: number;
}

export class PlanState {
  readonly pools: number;
  /** Values worked out since the begin. */
  evaluations = 0;
  readonly #costs: ServingCosts;
  readonly #bytesMax: Float64Array;
  readonly #bytesUsed: Float64Array;
  readonly #entries: (Entry | undefined)[];
  /** By pool: what is not there, by gain a byte (at most; `freshTop` makes it exact). */
  readonly #absent: readonly IndexedHeap[];
  /** By pool: what is there, the least loss a byte first. */
  readonly #held: readonly IndexedHeap[];
  /** Version of the entry that the gain is of, by object and pool. */
  readonly #valuedAt: Int32Array;

  constructor(costs: ServingCosts, bytesMax: Float64Array, objects: number) {
    this.pools = costs.pools;
    this.#costs = costs;
    this.#bytesMax = bytesMax;
    this.#bytesUsed = new Float64Array(costs.pools);
    this.#entries = new Array<Entry | undefined>(objects).fill(undefined);
    const heaps = () => Array.from({ length: costs.pools }, () => new IndexedHeap(objects));
    this.#absent = heaps();
    this.#held = heaps();
    this.#valuedAt = new Int32Array(objects * costs.pools);
  }

  /** New, or asked for in another way: its copies stay where they are. O(pools · groups that ask). */
  set(index: number, object: PlannedObject, pools: readonly number[] = this.poolsOf(index)): void {
    assert(object.sizeBytes > 0, `an object has a size, got ${object.sizeBytes} bytes`);
    for (const pool of this.poolsOf(index)) this.#take(index, pool);
    this.#entries[index] = { object, copies: new Copies(this.#costs, object.demand, pools), version: 0 };
    for (const pool of pools) this.#bytesUsed[pool] = this.usedBytes(pool) + object.sizeBytes;
    this.#weigh(index);
    this.#offer(index);
  }

  find(index: number): Entry | undefined {
    return this.#entries[index];
  }

  poolsOf(index: number): readonly number[] {
    return this.#entries[index]?.copies.pools ?? [];
  }

  usedBytes(pool: number): number {
    return this.#bytesUsed[pool] ?? 0;
  }

  freeBytes(pool: number): number {
    return (this.#bytesMax[pool] ?? 0) - this.usedBytes(pool);
  }

  /** Where one copy more is permitted. */
  isOpen(index: number, pool: number): boolean {
    const entry = this.#entries[index];
    if (entry === undefined) return false;
    const { object, copies } = entry;
    const isRoom = copies.pools.length < (object.copiesMax ?? this.pools);
    return isRoom && !copies.pools.includes(pool) && this.mayHold(object, pool);
  }

  mayHold({ sizeBytes, mayBeIn }: PlannedObject, pool: number): boolean {
    return sizeBytes <= (this.#bytesMax[pool] ?? 0) && mayBeIn?.(pool) !== false;
  }

  /** An upper bound of what the best object that is not there would save a byte; 0 where nothing would. */
  bestGain(pool: number): number {
    const heap = this.#absent[pool];
    const top = heap?.top();
    return heap === undefined || top === undefined ? 0 : heap.keyOf(top);
  }

  /** The object that is not there and saves most a byte (Minoux 1978: a gain only falls while copies are added). */
  freshTop(pool: number): { readonly index: number; readonly gainMs: number } | undefined {
    const heap = this.#absent[pool];
    for (;;) {
      const index = heap?.top();
      const entry = index === undefined ? undefined : this.#entries[index];
      if (heap === undefined || index === undefined || entry === undefined) return undefined;
      const { sizeBytes } = entry.object;
      if (this.#valuedAt[index * this.pools + pool] === entry.version) {
        return { index, gainMs: heap.keyOf(index) * sizeBytes };
      }
      this.#value(index, pool);
    }
  }

  /** Leaves the object out of account until `offerAgain`. */
  passOver(index: number, pool: number): void {
    this.#absent[pool]?.delete(index);
  }

  offerAgain(index: number, pool: number): void {
    const heap = this.#absent[pool];
    if (heap === undefined || !this.isOpen(index, pool)) return;
    if (this.#valuedAt[index * this.pools + pool] !== this.#entries[index]?.version) this.#value(index, pool);
    else heap.set(index, heap.keyOf(index));
  }

  /** What has to go, the least loss a byte first, so that so many bytes are free. */
  roomFor(pool: number, sizeBytes: number): { readonly evicted: readonly number[]; readonly lossMs: number } {
    const heap = this.#held[pool];
    const evicted: number[] = [];
    let lossMs = 0;
    let free = this.freeBytes(pool);
    if (heap === undefined || free >= sizeBytes) return { evicted, lossMs };
    for (const index of heap.descending()) {
      const size = this.#entries[index]?.object.sizeBytes ?? 0;
      evicted.push(index);
      lossMs -= heap.keyOf(index) * size;
      free += size;
      if (free >= sizeBytes) break;
    }
    return { evicted, lossMs };
  }

  add(index: number, pool: number): void {
    const entry = this.#entries[index];
    assert(entry !== undefined && this.isOpen(index, pool), `object ${index} may be added to pool ${pool}`);
    assert(entry.object.sizeBytes <= this.freeBytes(pool), `pool ${pool} has room for object ${index}`);
    entry.copies.add(pool);
    entry.version += 1;
    this.#bytesUsed[pool] = this.usedBytes(pool) + entry.object.sizeBytes;
    this.#absent[pool]?.delete(index);
    if (entry.copies.pools.length >= (entry.object.copiesMax ?? this.pools)) {
      for (const heap of this.#absent) heap.delete(index);
    }
    this.#weigh(index);
  }

  /** Where it may be held again its gain has grown by at most what its going costs: no pool is valued for that. */
  remove(index: number, pool: number): void {
    const entry = this.#entries[index];
    assert(entry?.copies.pools.includes(pool) === true, `object ${index} is in pool ${pool}`);
    const wasFull = entry.copies.pools.length >= (entry.object.copiesMax ?? this.pools);
    const lossMs = entry.copies.lossMs(pool);
    this.#take(index, pool);
    entry.copies.remove(pool);
    entry.version += 1;
    this.#weigh(index);
    if (wasFull) this.#offer(index);
    else this.#raise(index, lossMs / entry.object.sizeBytes);
  }

  /** Milliseconds that all demand costs in a unit of time. */
  totalMs(): number {
    return this.#entries.reduce((sum, entry) => sum + (entry?.copies.totalMs ?? 0), 0);
  }

  #take(index: number, pool: number): void {
    this.#bytesUsed[pool] = this.usedBytes(pool) - (this.#entries[index]?.object.sizeBytes ?? 0);
    this.#held[pool]?.delete(index);
  }

  #weigh(index: number): void {
    const entry = this.#entries[index];
    if (entry === undefined) return;
    this.evaluations += 1;
    const losses = entry.copies.lossesMs();
    for (const pool of entry.copies.pools) {
      const key = -(losses[pool] ?? 0) / entry.object.sizeBytes;
      const heap = this.#held[pool];
      if (heap?.has(index) !== true || heap.keyOf(index) !== key) heap?.set(index, key);
    }
  }

  #offer(index: number): void {
    for (let pool = 0; pool < this.pools; pool += 1) {
      if (this.isOpen(index, pool)) this.#value(index, pool);
      else this.#absent[pool]?.delete(index);
    }
  }

  #raise(index: number, by: number): void {
    this.#absent.forEach((heap, pool) => {
      if (heap.has(index)) heap.set(index, heap.keyOf(index) + by);
      else if (this.isOpen(index, pool)) this.#value(index, pool);
    });
  }

  #value(index: number, pool: number): void {
    const entry = this.#entries[index];
    if (entry === undefined) return;
    this.evaluations += 1;
    this.#absent[pool]?.set(index, entry.copies.gainMs(pool) / entry.object.sizeBytes);
    this.#valuedAt[index * this.pools + pool] = entry.version;
  }
}
