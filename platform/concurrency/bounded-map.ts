/** A map that forgets the least recently used entry beyond a limit. */

export interface BoundedMap<K, V> {
  /** Counts as a use. */
  get(key: K): V | undefined;
  set(key: K, value: V): void;
  delete(key: K): boolean;
  entries(): IterableIterator<[K, V]>;
  readonly size: number;
}

export function createBoundedMap<K, V>(entriesMax: number, onEvict?: (key: K, value: V) => void): BoundedMap<K, V> {
  const entries = new Map<K, V>();
  return {
    get(key) {
      const value = entries.get(key);
      if (value === undefined) return undefined;
      entries.delete(key);
      entries.set(key, value);
      return value;
    },
    set(key, value) {
      entries.delete(key);
      entries.set(key, value);
      if (entries.size <= entriesMax) return;
      const oldest = entries.entries().next().value;
      if (oldest === undefined) return;
      entries.delete(oldest[0]);
      onEvict?.(oldest[0], oldest[1]);
    },
    delete: (key) => entries.delete(key),
    entries: () => entries.entries(),
    get size() {
      return entries.size;
    },
  };
}
