/** Places for parts asked of one sibling at once: who finds none waits, in the order of coming. */

/** Of connections to one sibling too: it has others to serve. As many as are prefetched at once: none waits for another. */
export const PARTS_OF_ONE_MAX = 8;

export class PartPlaces {
  /** By sibling: those that wait for a place. One without an entry has nothing asked of it. */
  readonly #taken = new Map<string, { count: number; readonly waiting: (() => void)[] }>();

  /** Resolves with the place, which whoever has it disposes. */
  async take(name: string): Promise<Disposable> {
    const taken = this.#taken.get(name) ?? { count: 0, waiting: [] };
    this.#taken.set(name, taken);
    if (taken.count < PARTS_OF_ONE_MAX) taken.count += 1;
    // Whoever leaves gives the place on.
    else await new Promise<void>((resolve) => taken.waiting.push(resolve));
    let isGivenBack = false;
    return {
      [Symbol.dispose]: () => {
        if (isGivenBack) return;
        isGivenBack = true;
        const next = taken.waiting.shift();
        if (next !== undefined) return next();
        taken.count -= 1;
        if (taken.count === 0) this.#taken.delete(name);
      },
    };
  }
}
