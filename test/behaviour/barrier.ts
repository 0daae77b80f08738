/** Holds all who come until a given number of them is there. */

export class Barrier {
  readonly #opened = Promise.withResolvers<void>();
  readonly #count: number;
  #arrived = 0;

  constructor(count: number) {
    this.#count = count;
  }

  get arrived(): number {
    return this.#arrived;
  }

  arrive(): Promise<void> {
    this.#arrived += 1;
    if (this.#arrived >= this.#count) this.#opened.resolve();
    return this.#opened.promise;
  }

  /** Lets all go who wait, and all who come. */
  open(): void {
    this.#opened.resolve();
  }
}
