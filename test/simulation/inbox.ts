/** What has arrived at one end of a simulated connection, read by iteration until the end or a failure. */
import type { Failure } from "#domain/failure.ts";

type End = { readonly failure: Failure | undefined };

export class Inbox<T> {
  readonly #items: T[] = [];
  #end: End | undefined;
  #wake: (() => void) | undefined;

  put(item: T): void {
    if (this.#end !== undefined) return;
    this.#items.push(item);
    this.#wake?.();
  }

  /** Read after what came before; a failure is thrown at once. The first end counts. */
  end(failure?: Failure): void {
    if (this.#end !== undefined) return;
    this.#end = { failure };
    this.#wake?.();
  }

  async *read(): AsyncGenerator<T> {
    for (;;) {
      if (this.#end?.failure !== undefined) throw this.#end.failure;
      const item = this.#items.shift();
      if (item !== undefined) yield item;
      else if (this.#end !== undefined) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
