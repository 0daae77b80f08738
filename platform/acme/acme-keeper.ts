/** Keeps a certificate for each name in force: orders what is absent or due, one at a time, and tries again what failed. */
import { createHash } from "node:crypto";
import { type Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "../clock.ts";
import { BoundedMap } from "../concurrency/bounded-map.ts";
import type { SiteCertificate } from "../identity/site-certificate.ts";
import { decideRenewal } from "./renewal.ts";

/** Nothing here is urgent to the minute but the first order. */
const LOOK_MS = 60_000;
/** With the authority's retries and the poll of its validation. */
const ORDER_MS_MAX = 5 * 60_000;
/** Names that failed; one more is tried anew as if it had not. */
const FAILURES_MAX = 1_000;
/** 32 bits of jitter. */
const JITTER_DIGITS = 8;

export interface AcmeKeeperEvents {
  ordered(name: string, because: string): void;
  orderFailed(name: string, failure: Failure): void;
}

export interface AcmeKeeperOptions {
  readonly names: () => readonly string[];
  /** What is in force for a name, expired or not. */
  readonly find: (name: string) => Pick<SiteCertificate, "notBeforeMs" | "notAfterMs" | "fingerprint"> | undefined;
  /** Orders one, verifies it, and puts it in force; throws a Failure, and then what was in force stays. */
  readonly order: (name: string, signal: AbortSignal) => Promise<void>;
  readonly events: AcmeKeeperEvents;
  readonly clock: Clock;
}

export class AcmeKeeper implements AsyncDisposable {
  readonly #options: AcmeKeeperOptions;
  readonly #failed = new BoundedMap<string, { readonly failures: number; readonly atMs: number }>({
    entriesMax: FAILURES_MAX,
  });
  readonly #looking: Disposable;
  readonly #stopping = new AbortController();
  #turn: Promise<void>;

  constructor(options: AcmeKeeperOptions) {
    this.#options = options;
    this.#turn = this.#look();
    this.#looking = options.clock.every(LOOK_MS, () => this.lookNow());
  }

  /** Resolves when what is due has been ordered or has failed. */
  lookNow(): Promise<void> {
    this.#turn = this.#turn.then(() => this.#look());
    return this.#turn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#looking[Symbol.dispose]();
    this.#stopping.abort();
    await this.#turn;
  }

  async #look(): Promise<void> {
    for (const name of this.#options.names()) {
      if (this.#stopping.signal.aborted) return;
      await this.#lookAt(name);
    }
  }

  async #lookAt(name: string): Promise<void> {
    const { clock, events, find, order } = this.#options;
    const current = find(name);
    const failed = this.#failed.peek(name);
    const decision = decideRenewal(
      {
        ...(current === undefined ? {} : { current }),
        jitter: jitterOf(current?.fingerprint ?? name),
        failures: failed?.failures ?? 0,
        ...(failed === undefined ? {} : { lastFailedMs: failed.atMs }),
      },
      clock.nowMs(),
    );
    if (decision.kind === "wait") return;
    try {
      await order(name, clock.deadline(ORDER_MS_MAX, this.#stopping.signal));
      this.#failed.delete(name);
      events.ordered(name, decision.because);
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      if (!isFailure(error)) throw error;
      this.#failed.set(name, { failures: (failed?.failures ?? 0) + 1, atMs: clock.nowMs() });
      events.orderFailed(name, error);
    }
  }
}

/** The same over restarts, and different for each certificate. */
function jitterOf(text: string): number {
  const digits = createHash("sha256").update(text).digest("hex").slice(0, JITTER_DIGITS);
  return Number.parseInt(digits, 16) / 16 ** JITTER_DIGITS;
}
