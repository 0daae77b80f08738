/** Collapses concurrent calls for one key into one: the later ones wait for the first one's outcome. */
import { Failure } from "#domain/failure.ts";

export class SingleFlight<T> {
  readonly keysMax: number;
  readonly #flights = new Map<string, Promise<T>>();

  constructor(keysMax: number) {
    this.keysMax = keysMax;
  }

  get size(): number {
    return this.#flights.size;
  }

  /** Joins the flight of `key`, or starts one; rejects with a retryable `overloaded` where `keysMax` are in the air. */
  run(key: string, start: () => Promise<T>): Promise<T> {
    const joined = this.#flights.get(key);
    if (joined !== undefined) return joined;
    if (this.#flights.size >= this.keysMax) {
      const message = `${this.keysMax} calls are already under way, which is the limit; try again later`;
      return Promise.reject(new Failure("overloaded", message, { retryable: true }));
    }
    const flight = this.#land(key, start);
    this.#flights.set(key, flight);
    return flight;
  }

  async #land(key: string, start: () => Promise<T>): Promise<T> {
    // The turn given here lets `run` record the flight before a `start` that throws at once removes it.
    await null;
    try {
      return await start();
    } finally {
      this.#flights.delete(key);
    }
  }
}
