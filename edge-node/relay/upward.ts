/** What siblings say, on its way up between the own messages of the one stream: of each kind the newest of each sibling. */

export class Upward<T> {
  /** By sibling and kind, the oldest first: four kinds of each at most. */
  readonly #waiting = new Map<string, { readonly node: string; readonly value: T }>();
  #wake: () => void = () => undefined;

  /** Takes the place of an older one of its kind, and its turn. */
  put(node: string, kind: string, value: T): void {
    this.#waiting.set(`${node} ${kind}`, { node, value });
    this.#wake();
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
    let arrived: Promise<IteratorResult<M>> | undefined;
    // Raced again and again, a promise that is long in coming would keep every race.
    const ask = (): void => {
      const next = iterator.next();
      const arrive = (): void => {
        arrived = next;
        this.#wake();
      };
      next.then(arrive, arrive);
    };
    ask();
    for (;;) {
      const value = arrived === undefined ? this.#shift() : undefined;
      if (value !== undefined) yield wrap(value);
      else if (arrived !== undefined) {
        const { done, value: message } = await arrived;
        if (done === true) return;
        arrived = undefined;
        yield message;
        ask();
      } else await this.#woken();
    }
  }

  /** Resolves when something may have come. */
  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #shift(): T | undefined {
    const [oldest] = this.#waiting;
    if (oldest !== undefined) this.#waiting.delete(oldest[0]);
    return oldest?.[1].value;
  }
}
