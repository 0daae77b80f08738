/** The round trip of a session's connection, by echoes that nobody can send back before what they echo has come. */
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";

/** Not to be guessed: an echo sent ahead would make the round trip shorter. */
const CONTENT_BYTES = 8;
/** Gain of the smoothed RTT (RFC 6298 section 2). */
const SMOOTHING_GAIN = 1 / 8;
/** A connection's first frames delay its first answers: it begins with the least of so many. */
const FIRST_ANSWERS = 3;
/** Then another is sent: what came before the client listened stays unanswered. */
const UNANSWERED_MS_MAX = 10_000;

export interface RoundTripTools {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly random: Pick<Random, "bytes">;
}

export class RoundTrips {
  readonly #send: (content: Buffer) => boolean;
  readonly #tools: RoundTripTools;
  #outstanding: { readonly content: Buffer; readonly sentAtMs: number } | undefined;
  #answers = 0;
  #leastMs = Number.POSITIVE_INFINITY;
  #smoothedMs = 0;

  /** `send` asks the other end for an echo; false where it cannot be asked now. */
  constructor(send: (content: Buffer) => boolean, tools: RoundTripTools) {
    this.#send = send;
    this.#tools = tools;
  }

  /** The smoothed RTT so far, 0 before the first three answers. One is on its way at a time. */
  measure(): number {
    const { clock, random } = this.#tools;
    const nowMs = clock.monotonicMs();
    if (this.#outstanding === undefined || nowMs - this.#outstanding.sentAtMs >= UNANSWERED_MS_MAX) {
      const content = Buffer.from(random.bytes(CONTENT_BYTES));
      this.#outstanding = this.#send(content) ? { content, sentAtMs: nowMs } : undefined;
    }
    return this.#smoothedMs;
  }

  take(content: Uint8Array): void {
    if (this.#outstanding === undefined || !this.#outstanding.content.equals(content)) return;
    const rttMs = this.#tools.clock.monotonicMs() - this.#outstanding.sentAtMs;
    this.#outstanding = undefined;
    this.#answers += 1;
    if (this.#answers > FIRST_ANSWERS) this.#smoothedMs += SMOOTHING_GAIN * (rttMs - this.#smoothedMs);
    else this.#leastMs = Math.min(this.#leastMs, rttMs);
    if (this.#answers === FIRST_ANSWERS) this.#smoothedMs = this.#leastMs;
  }
}
