/**
 * Bounds what an edge has from the origin and no sibling has of it: what the origin sends again where that edge dies.
 * Counts over all blobs, those that are whole too, until siblings have them.
 */
import type { Digest } from "#domain/content/release.ts";
import type { Clock } from "#platform/clock.ts";

/** Of a release of 100 MB three hundredths. */
export const RELAY_LEAD_BYTES_MAX = 3 * 1024 * 1024;
/** Of that, for blobs that no sibling reads yet: those that one waits for find the rest free, whatever comes first. */
const UNREAD_LEAD_BYTES_MAX = 1024 * 1024;
/** Each is an entry in memory. */
const RELAY_LEAD_BLOBS_MAX = 1024;
/** Siblings that take nothing for so long have no use for it, or cannot come: nobody is waited for until one takes something. */
export const RELAY_HELD_MS_MAX = 10_000;

interface Lead {
  /** From where on this node fetched it: what is before came from siblings. */
  readonly fromBytes: number;
  /** Fetched, or being fetched, up to here. */
  endBytes: number;
  /** A sibling has it up to here. */
  sentBytes: number;
}

export class RelayLead {
  readonly #clock: Pick<Clock, "monotonicMs" | "timer">;
  readonly #leads = new Map<Digest, Lead>();
  /** By blob, siblings that read it while it arrives. */
  readonly #readers = new Map<Digest, number>();
  #changed = Promise.withResolvers<void>();
  /** Since the last that a sibling took, or since somebody waits for that. */
  #heldSinceMs: number | undefined;
  #isAlone = false;

  constructor(clock: Pick<Clock, "monotonicMs" | "timer">) {
    this.#clock = clock;
  }

  /** Bytes that the origin would have to send again. */
  get bytes(): number {
    return [...this.#leads.values()].reduce((sum, lead) => sum + leadOf(lead), 0);
  }

  /** Resolves when the bytes from `start` to `end`, not included, may be fetched. They count from then on. */
  async take(digest: Digest, start: number, end: number): Promise<void> {
    while (!this.#isAlone && !this.#hasRoomFor(digest, end - start)) await this.#untilChanged();
    // An edge on its own need not count.
    if (this.#isAlone) return;
    const lead = this.#leads.get(digest) ?? { fromBytes: start, endBytes: start, sentBytes: start };
    lead.endBytes = Math.max(lead.endBytes, end);
    this.#leads.set(digest, lead);
  }

  /** A sibling reads it along, or waits for it, until this is disposed. */
  readBy(digest: Digest): Disposable {
    this.#readers.set(digest, (this.#readers.get(digest) ?? 0) + 1);
    this.#wake();
    return {
      [Symbol.dispose]: () => {
        const left = (this.#readers.get(digest) ?? 1) - 1;
        if (left === 0) this.#readers.delete(digest);
        else this.#readers.set(digest, left);
      },
    };
  }

  /** They did not come, or were wrong. */
  giveBack(digest: Digest, end: number): void {
    const lead = this.#leads.get(digest);
    if (lead === undefined) return;
    lead.endBytes = Math.min(lead.endBytes, Math.max(end, lead.fromBytes));
    this.#settle(digest, lead);
  }

  /** A sibling that others may ask has what is before `end`. */
  sent(digest: Digest, end: number): void {
    this.#isAlone = false;
    const lead = this.#leads.get(digest);
    if (lead === undefined || end <= lead.sentBytes) return;
    lead.sentBytes = end;
    this.#settle(digest, lead);
  }

  #hasRoomFor(digest: Digest, bytes: number): boolean {
    if (this.#leads.size >= RELAY_LEAD_BLOBS_MAX || this.bytes + bytes > RELAY_LEAD_BYTES_MAX) return false;
    if (this.#readers.has(digest)) return true;
    const unread = [...this.#leads].filter(([other]) => other === digest || !this.#readers.has(other));
    return unread.reduce((sum, [, lead]) => sum + leadOf(lead), bytes) <= UNREAD_LEAD_BYTES_MAX;
  }

  async #untilChanged(): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    this.#heldSinceMs ??= nowMs;
    using _limit = this.#clock.timer(this.#heldSinceMs + RELAY_HELD_MS_MAX - nowMs, () => this.goOnAlone());
    await this.#changed.promise;
  }

  /** Nobody comes along, or this node stops. */
  goOnAlone(): void {
    this.#isAlone = true;
    this.#leads.clear();
    this.#announce();
  }

  #settle(digest: Digest, lead: Lead): void {
    if (leadOf(lead) === 0) this.#leads.delete(digest);
    this.#announce();
  }

  #announce(): void {
    this.#heldSinceMs = undefined;
    this.#wake();
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

function leadOf({ endBytes, sentBytes }: Lead): number {
  return Math.max(0, endBytes - sentBytes);
}
