/**
 * How far a client's probes are believed, by what its sessions' connections showed. Pure, bounded.
 * An exponentially weighted mean of agreement: a lie costs half of the trust, each session that agrees brings an eighth
 * of the rest back.
 */
import { assert } from "../assert.ts";

const LOSS_GAIN = 1 / 2;
const REGAIN_GAIN = 1 / 8;
/** A sample that weighs nothing could never be corrected. */
const TRUST_RATIO_MIN = 0.02;
/** Below it what a client says of a pool is not taken to be nearer than others of its group say. */
const BELIEVED_RATIO_MIN = 0.75;
/** A session's round trip is longer than a probe's by its own load, and changes by itself: up to so much is no lie. */
const TOLERANCE_MS = 5;
const TOLERANCE_RATIO = 0.5;
/** As good as full: what is regained by eighths never comes to an end. */
const FULL_RATIO = 0.99;

export class ProbeTrust {
  readonly #clientsMax: number;
  /** Of those below full trust, in the order in which they were last judged. */
  readonly #ratios = new Map<string, number>();

  /** The one not judged for longest is forgotten, which is to say believed, when one more would be too many. */
  constructor(clientsMax: number) {
    assert(clientsMax > 0, "trust is kept of at least one client");
    this.#clientsMax = clientsMax;
  }

  get clientCount(): number {
    return this.#ratios.size;
  }

  /** From above 0 to 1, which is also for who has not been judged. */
  ratioOf(client: string): number {
    return this.#ratios.get(client) ?? 1;
  }

  isBelieved(client: string): boolean {
    return this.ratioOf(client) >= BELIEVED_RATIO_MIN;
  }

  /** `probedMs` is what the client said of a pool, `sessionMs` what its session's connection to it shows. */
  judge(client: string, { probedMs, sessionMs }: { readonly probedMs: number; readonly sessionMs: number }): void {
    const before = this.ratioOf(client);
    const isLie = sessionMs - probedMs > Math.max(TOLERANCE_MS, TOLERANCE_RATIO * probedMs);
    const ratio = isLie
      ? Math.max(TRUST_RATIO_MIN, before * (1 - LOSS_GAIN))
      : Math.min(1, before + REGAIN_GAIN * (1 - before));
    this.#ratios.delete(client);
    if (ratio > FULL_RATIO) return;
    const oldest = this.#ratios.keys().next();
    if (this.#ratios.size >= this.#clientsMax && oldest.done !== true) this.#ratios.delete(oldest.value);
    this.#ratios.set(client, ratio);
  }
}
