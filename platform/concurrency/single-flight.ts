/** Collapses concurrent calls for one key into one. */

export interface SingleFlight<T> {
  /** Calls `run` unless one for the key is under way; everyone gets its outcome. */
  run(key: string, run: () => Promise<T>): Promise<T>;
  readonly size: number;
}

export function createSingleFlight<T>(): SingleFlight<T> {
  const flights = new Map<string, Promise<T>>();
  return {
    run(key, run) {
      const flying = flights.get(key);
      if (flying !== undefined) return flying;
      const flight = run().finally(() => flights.delete(key));
      flights.set(key, flight);
      return flight;
    },
    get size() {
      return flights.size;
    },
  };
}
