/** What siblings say, on its way up between the own messages of the one stream: of each kind the newest of each sibling. */

export class Upward<T> {
  /** By sibling and kind, the oldest first: four kinds of each at most. */
  readonly #waiting = new Map<string, { readonly node: string; readonly value: T }>();
  #woken = Promise.withResolvers<"woken">();

  /** Takes the place of an older one of its kind, and its turn. */
  put(node: string, kind: string, value: T): void {
    this.#waiting.set(`${node} ${kind}`, { node, value });
    this.#woken.resolve("woken");
  }

  /** Nothing that waits of this sibling counts any more. */
  replaceAll(node: string, kind: string, value: T): void {
    for (const [key, waiting] of this.#waiting) if (waiting.node === node) this.#waiting.delete(key);
    this.put(node, kind, value);
  }

  clear(): void {
    this.#waiting.clear();
  }

  /** Ends with `own`, whose messages go first. */
  async *merge<M>(own: AsyncIterable<M>, wrap: (value: T) => M): AsyncGenerator<M> {
    const iterator = own[Symbol.asyncIterator]();
    let next: Promise<IteratorResult<M>> | undefined;
    for (;;) {
      const owned = next ?? iterator.next();
      const first = await Promise.race([owned, this.#woken.promise]);
      if (first === "woken") {
        next = owned;
        const value = this.#shift();
        if (value !== undefined) yield wrap(value);
      } else {
        if (first.done === true) return;
        next = undefined;
        yield first.value;
      }
    }
  }

  #shift(): T | undefined {
    const [oldest] = this.#waiting;
    if (oldest !== undefined) this.#waiting.delete(oldest[0]);
    if (this.#waiting.size === 0) this.#woken = Promise.withResolvers();
    return oldest?.[1].value;
  }
}
