/** Counts the connections of each client, and says which is one too many. */

/** A browser opens 6 to a site; a network of many people behind one address has some hundred. */
export const CONNECTIONS_OF_CLIENT_MAX = 1_024;

export class ClientConnections {
  /** No more entries than there are connections. */
  readonly #counts = new Map<string, number>();

  /** False, and nothing is counted, where the client has as many as it may. */
  add(client: string): boolean {
    const count = this.#counts.get(client) ?? 0;
    if (count >= CONNECTIONS_OF_CLIENT_MAX) return false;
    this.#counts.set(client, count + 1);
    return true;
  }

  remove(client: string): void {
    const count = this.#counts.get(client) ?? 0;
    if (count > 1) this.#counts.set(client, count - 1);
    else this.#counts.delete(client);
  }
}
