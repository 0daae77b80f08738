/** The field's policies as their papers have them, counted in bytes; small rather than fast. */
import type { Cache } from "./trace.ts";

/** Objects in an order, the oldest first, with the sum of their bytes. */
class Segment {
  readonly #bytes = new Map<number, number>();
  usedBytes = 0;

  has(object: number): boolean {
    return this.#bytes.has(object);
  }

  add(object: number, bytes: number): void {
    this.remove(object);
    this.#bytes.set(object, bytes);
    this.usedBytes += bytes;
  }

  /** Its bytes; nought where it is not there. */
  remove(object: number): number {
    const bytes = this.#bytes.get(object) ?? 0;
    this.#bytes.delete(object);
    this.usedBytes -= bytes;
    return bytes;
  }

  oldest(): { readonly object: number; readonly bytes: number } {
    for (const [object, bytes] of this.#bytes) return { object, bytes };
    throw new Error("nothing is left to evict");
  }

  get isEmpty(): boolean {
    return this.#bytes.size === 0;
  }
}

export function lruCache(capacityBytes: number): Cache {
  const kept = new Segment();
  return (object, bytes) => {
    const isHit = kept.has(object);
    if (isHit || bytes <= capacityBytes) kept.add(object, bytes);
    while (kept.usedBytes > capacityBytes) kept.remove(kept.oldest().object);
    return isHit;
  };
}

interface Link {
  readonly object: number;
  readonly bytes: number;
  older: Link | undefined;
  newer: Link | undefined;
  isVisited: boolean;
}

/** Zhang et al., "SIEVE is simpler than LRU", NSDI 2024. */
export function sieveCache(capacityBytes: number): Cache {
  const links = new Map<number, Link>();
  let newest: Link | undefined;
  let oldest: Link | undefined;
  let hand: Link | undefined;
  let usedBytes = 0;
  const evict = () => {
    let at = hand ?? oldest;
    while (at?.isVisited) {
      at.isVisited = false;
      at = at.newer ?? oldest;
    }
    if (at === undefined) throw new Error("nothing is left to evict");
    if (at.older === undefined) oldest = at.newer;
    else at.older.newer = at.newer;
    if (at.newer === undefined) newest = at.older;
    else at.newer.older = at.older;
    hand = at.newer;
    links.delete(at.object);
    usedBytes -= at.bytes;
  };
  return (object, bytes) => {
    const known = links.get(object);
    if (known !== undefined) {
      known.isVisited = true;
      return true;
    }
    if (bytes > capacityBytes) return false;
    while (usedBytes + bytes > capacityBytes) evict();
    const link: Link = { object, bytes, older: newest, newer: undefined, isVisited: false };
    if (newest !== undefined) newest.newer = link;
    newest = link;
    oldest ??= link;
    links.set(object, link);
    usedBytes += bytes;
    return false;
  };
}

const S3_SMALL_RATIO = 0.1;
const S3_FREQUENCY_CAP = 3;
/** Seen again that often it leaves the small queue for the main one, where its uses are counted anew. */
const S3_PROMOTED = 2;

/** Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023. */
export function s3FifoCache(capacityBytes: number): Cache {
  const [small, main, ghost] = [new Segment(), new Segment(), new Segment()];
  const uses = new Map<number, number>();
  const smallBytes = capacityBytes * S3_SMALL_RATIO;
  const evictFromSmall = () => {
    const { object, bytes } = small.oldest();
    small.remove(object);
    const isPromoted = (uses.get(object) ?? 0) >= S3_PROMOTED;
    uses.delete(object);
    if (isPromoted) return main.add(object, bytes);
    ghost.add(object, bytes);
    while (ghost.usedBytes > capacityBytes - smallBytes) ghost.remove(ghost.oldest().object);
  };
  const evictFromMain = () => {
    const { object, bytes } = main.oldest();
    main.remove(object);
    const left = (uses.get(object) ?? 0) - 1;
    if (left < 0) return void uses.delete(object);
    uses.set(object, left);
    main.add(object, bytes);
  };
  return (object, bytes) => {
    if (small.has(object) || main.has(object)) {
      uses.set(object, Math.min(S3_FREQUENCY_CAP, (uses.get(object) ?? 0) + 1));
      return true;
    }
    if (bytes > capacityBytes) return false;
    const wasKnown = ghost.has(object);
    ghost.remove(object);
    while (small.usedBytes + main.usedBytes + bytes > capacityBytes) {
      const isMainsTurn = small.isEmpty || main.usedBytes > capacityBytes - smallBytes;
      if (isMainsTurn) evictFromMain();
      else evictFromSmall();
    }
    uses.set(object, 0);
    (wasKnown ? main : small).add(object, bytes);
    return false;
  };
}

const WINDOW_RATIO = 0.01;
const PROTECTED_RATIO = 0.8;
const COUNT_CAP = 15;
/** Counts are halved after as many uses as this times the objects that are kept. */
const SAMPLE_RATIO = 10;

/** Einziger, Friedman, Manes, "TinyLFU", 2017: a window of 1 %, segmented LRU behind it; counts are exact here. */
export function wTinyLfuCache(capacityBytes: number): Cache {
  const [window, probation, guarded] = [new Segment(), new Segment(), new Segment()];
  const mainBytes = capacityBytes * (1 - WINDOW_RATIO);
  let counts = new Map<number, number>();
  let sampled = 0;
  let kept = 0;
  const countOf = (object: number) => counts.get(object) ?? 0;
  const count = (object: number) => {
    counts.set(object, Math.min(COUNT_CAP, countOf(object) + 1));
    sampled += 1;
    if (sampled < Math.max(1000, kept * SAMPLE_RATIO)) return;
    sampled = 0;
    counts = new Map([...counts].map(([key, uses]) => [key, uses >> 1] as const).filter(([, uses]) => uses > 0));
  };
  const victimOf = () => (probation.isEmpty ? guarded : probation);
  const admit = (object: number, bytes: number) => {
    kept -= 1;
    if (bytes > mainBytes) return;
    while (probation.usedBytes + guarded.usedBytes + bytes > mainBytes) {
      const from = victimOf();
      const victim = from.oldest().object;
      if (countOf(object) <= countOf(victim)) return;
      from.remove(victim);
      kept -= 1;
    }
    probation.add(object, bytes);
    kept += 1;
  };
  const use = (object: number, bytes: number) => {
    if (window.has(object)) return window.add(object, bytes);
    probation.remove(object);
    guarded.add(object, bytes);
    while (guarded.usedBytes > mainBytes * PROTECTED_RATIO) {
      const oldest = guarded.oldest();
      guarded.remove(oldest.object);
      probation.add(oldest.object, oldest.bytes);
    }
  };
  return (object, bytes) => {
    count(object);
    const isHit = window.has(object) || probation.has(object) || guarded.has(object);
    if (isHit) use(object, bytes);
    else if (bytes <= capacityBytes) {
      window.add(object, bytes);
      kept += 1;
    }
    while (window.usedBytes > capacityBytes * WINDOW_RATIO) {
      const oldest = window.oldest();
      window.remove(oldest.object);
      admit(oldest.object, oldest.bytes);
    }
    return isHit;
  };
}
