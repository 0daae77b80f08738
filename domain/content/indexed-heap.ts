/** A binary max-heap of small whole numbers by a key that may be changed in place; equal keys go by the lower number. Pure. */

export class IndexedHeap {
  readonly #items: number[] = [];
  readonly #keys: Float64Array;
  /** Index in the heap plus one; 0 for what is not in it. */
  readonly #places: Int32Array;

  /** Items are 0 to `count` - 1, each at most once. */
  constructor(count: number) {
    this.#keys = new Float64Array(count);
    this.#places = new Int32Array(count);
  }

  get size(): number {
    return this.#items.length;
  }

  has(item: number): boolean {
    return (this.#places[item] ?? 0) > 0;
  }

  /** The last that was set; an item that is deleted keeps its own. */
  keyOf(item: number): number {
    return this.#keys[item] ?? 0;
  }

  top(): number | undefined {
    return this.#items[0];
  }

  /** Adds the item, or moves it to where its new key belongs. */
  set(item: number, key: number): void {
    this.#keys[item] = key;
    const place = this.#places[item] ?? 0;
    if (place === 0) this.#items.push(item);
    this.#sink(this.#rise(place === 0 ? this.#items.length - 1 : place - 1, item), item);
  }

  delete(item: number): void {
    const index = (this.#places[item] ?? 0) - 1;
    if (index < 0) return;
    this.#places[item] = 0;
    const last = this.#items.pop();
    if (last === undefined || last === item) return;
    this.#sink(this.#rise(index, last), last);
  }

  /** The items in the order of their keys, as far as they are asked for; leaves the heap as it is. */
  *descending(): Generator<number> {
    const frontier = this.#items.length > 0 ? [0] : [];
    while (frontier.length > 0) {
      let at = 0;
      for (let other = 1; other < frontier.length; other += 1) {
        if (this.#isBefore(this.#itemAt(frontier[other] ?? 0), this.#itemAt(frontier[at] ?? 0))) at = other;
      }
      const index = frontier[at] ?? 0;
      frontier.splice(at, 1);
      for (const child of [2 * index + 1, 2 * index + 2]) if (child < this.#items.length) frontier.push(child);
      yield this.#itemAt(index);
    }
  }

  #itemAt(index: number): number {
    return this.#items[index] ?? 0;
  }

  #isBefore(one: number, other: number): boolean {
    const difference = this.keyOf(one) - this.keyOf(other);
    return difference > 0 || (difference === 0 && one < other);
  }

  /** Gives where the item came to stand. */
  #rise(from: number, item: number): number {
    let index = from;
    while (index > 0) {
      const parent = (index - 1) >>> 1;
      if (!this.#isBefore(item, this.#itemAt(parent))) break;
      this.#put(index, this.#itemAt(parent));
      index = parent;
    }
    this.#put(index, item);
    return index;
  }

  #sink(from: number, item: number): void {
    let index = from;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= this.#items.length) break;
      if (child + 1 < this.#items.length && this.#isBefore(this.#itemAt(child + 1), this.#itemAt(child))) child += 1;
      if (!this.#isBefore(this.#itemAt(child), item)) break;
      this.#put(index, this.#itemAt(child));
      index = child;
    }
    this.#put(index, item);
  }

  #put(index: number, item: number): void {
    this.#items[index] = item;
    this.#places[item] = index + 1;
  }
}
