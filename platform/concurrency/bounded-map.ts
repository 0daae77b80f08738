/** A map with a limit: the least recently used entry leaves first, and any entry once its time is over. */
import { assert } from "#domain/assert.ts";
import type { Clock } from "../clock.ts";

export interface BoundedMapOptions<K, V> {
  readonly entriesMax: number;
  /** How long an entry lives from its last `set`; without it entries live until they are pushed out. */
  readonly lifetime?: { readonly ms: number; readonly clock: Pick<Clock, "monotonicMs"> };
  /** Called for entries pushed out by the limit or found expired, not for deleted or replaced ones. */
  readonly onEvict?: (key: K, value: V, because: "limit" | "expired") => void;
}

interface Entry<V> {
  readonly value: V;
  readonly expiresAtMs: number;
}

export class BoundedMap<K, V> {
  readonly #options: BoundedMapOptions<K, V>;
  /** In order of use, the least recent first. */
  readonly #entries = new Map<K, Entry<V>>();

  constructor(options: BoundedMapOptions<K, V>) {
    assert(options.entriesMax > 0, `a map holds at least one entry, got ${options.entriesMax}`);
    this.#options = options;
  }

  /** Expired entries count until they are looked at, pushed out or swept. */
  get size(): number {
    return this.#entries.size;
  }

  /** Finds and marks as used; `undefined` where there is none or it has expired. */
  get(key: K): V | undefined {
    const entry = this.#live(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** Finds without marking as used. */
  peek(key: K): V | undefined {
    return this.#live(key)?.value;
  }

  has(key: K): boolean {
    return this.#live(key) !== undefined;
  }

  set(key: K, value: V): void {
    const { lifetime, entriesMax } = this.#options;
    this.#entries.delete(key);
    const expiresAtMs = lifetime === undefined ? Number.POSITIVE_INFINITY : lifetime.clock.monotonicMs() + lifetime.ms;
    this.#entries.set(key, { value, expiresAtMs });
    if (this.#entries.size <= entriesMax) return;
    for (const [oldest, entry] of this.#entries) {
      this.#evict(oldest, entry, "limit");
      return;
    }
  }

  delete(key: K): boolean {
    return this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }

  /** Evicts everything that has expired; a caller with `onEvict` runs it from time to time. */
  sweep(): void {
    for (const key of [...this.#entries.keys()]) this.#live(key);
  }

  /** Live entries, the least recently used first. */
  *entries(): IterableIterator<[K, V]> {
    for (const key of [...this.#entries.keys()]) {
      const entry = this.#live(key);
      if (entry !== undefined) yield [key, entry.value];
    }
  }

  #live(key: K): Entry<V> | undefined {
    const entry = this.#entries.get(key);
    const { lifetime } = this.#options;
    if (entry === undefined || lifetime === undefined) return entry;
    if (lifetime.clock.monotonicMs() < entry.expiresAtMs) return entry;
    this.#evict(key, entry, "expired");
    return undefined;
  }

  #evict(key: K, entry: Entry<V>, because: "limit" | "expired"): void {
    this.#entries.delete(key);
    this.#options.onEvict?.(key, entry.value, because);
  }
}
