/** The key that session tickets are sealed with: another from time to time, the same for all who take it from here. */
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";

/** What a ticket key opened before it, is opened by none after it; a ticket lives for a third of it (SESSION_SECONDS). */
const TICKET_KEY_MS = 12 * 3_600_000;
/** OpenSSL's: a name, a MAC key and an AES key of 16 bytes each. */
const TICKET_KEY_BYTES = 48;

export class TicketKeys {
  readonly #changed = new Set<() => void>();
  #current: Buffer;

  constructor(current: Uint8Array) {
    this.#current = Buffer.from(current);
  }

  get current(): Buffer {
    return this.#current;
  }

  replace(keys: Uint8Array): void {
    if (this.#current.equals(keys)) return;
    this.#current = Buffer.from(keys);
    for (const listener of this.#changed) listener();
  }

  /** Runs `listener` after each change. */
  onChange(listener: () => void): Disposable {
    this.#changed.add(listener);
    return { [Symbol.dispose]: () => void this.#changed.delete(listener) };
  }
}

export interface RotatingTicketKeys extends Disposable {
  readonly keys: TicketKeys;
}

export function rotateTicketKeys({ clock, random }: { clock: Clock; random: Random }): RotatingTicketKeys {
  const keys = new TicketKeys(random.bytes(TICKET_KEY_BYTES));
  const rotating = clock.every(TICKET_KEY_MS, () => keys.replace(random.bytes(TICKET_KEY_BYTES)));
  return { keys, [Symbol.dispose]: () => rotating[Symbol.dispose]() };
}
