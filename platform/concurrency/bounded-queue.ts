/** A first-in first-out queue with a limit, between one producer and one consumer. */

export interface BoundedQueue<T> extends AsyncIterable<T> {
  /** False when the queue is full or closed: the item was not taken. */
  offer(item: T): boolean;
  /** No more items; the consumer gets what is left, then the end. */
  close(): void;
  readonly length: number;
}

export function createBoundedQueue<T>(itemsMax: number): BoundedQueue<T> {
  const items: T[] = [];
  let closed = false;
  let wake: (() => void) | undefined;
  const wakeConsumer = () => {
    wake?.();
    wake = undefined;
  };
  return {
    offer(item) {
      if (closed || items.length >= itemsMax) return false;
      items.push(item);
      wakeConsumer();
      return true;
    },
    close() {
      closed = true;
      wakeConsumer();
    },
    get length() {
      return items.length;
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const item = items.shift();
        if (item !== undefined) yield item;
        else if (closed) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}
