/** One connected peer: what waits to be sent to it, pings, and the end when it is silent, slow or no longer a member. */
import { Failure } from "#domain/failure.ts";
import type { Clock } from "../clock.ts";
import { BoundedQueue } from "../concurrency/bounded-queue.ts";
import type { Heartbeat } from "./heartbeat.ts";

export const PING_MS = 4000;
/** Two lost pings: a peer is known to be gone in at most 10 s. */
export const SILENCE_MS_MAX = 9000;
/** A peer that reads slower than its state changes connects again and takes a snapshot. */
export const LINK_MESSAGES_MAX = 1024;

export interface PeerLinkOptions<T> {
  readonly clock: Clock;
  /** Of the service, with `PING_MS`. */
  readonly heartbeat: Heartbeat;
  readonly signal: AbortSignal;
  readonly ping: (nonce: bigint, sentAtMs: bigint) => T;
  /** Throws when the peer may no longer be served; asked at each ping. */
  readonly check: () => void;
}

export class PeerLink<T> implements Disposable {
  readonly #queue = new BoundedQueue<T>(LINK_MESSAGES_MAX);
  readonly #ending = new AbortController();
  readonly #options: PeerLinkOptions<T>;
  readonly #beating: Disposable;
  readonly signal: AbortSignal;
  #lastHeardMs: number;
  #nonce = 0n;

  constructor(options: PeerLinkOptions<T>) {
    this.#options = options;
    this.#lastHeardMs = options.clock.monotonicMs();
    this.signal = AbortSignal.any([options.signal, this.#ending.signal]);
    this.#beating = options.heartbeat.add({
      beat: () => this.#ping(),
      look: (nowMs, heldMs) => this.#checkSilence(nowMs, heldMs),
    });
  }

  get hasRoom(): boolean {
    return this.#queue.size < LINK_MESSAGES_MAX / 2;
  }

  push(message: T): void {
    if (this.#queue.push(message) === "full") {
      this.end(new Failure("overloaded", "the peer reads too slowly; it connects again", { retryable: true }));
    }
  }

  heard(): void {
    this.#lastHeardMs = this.#options.clock.monotonicMs();
  }

  /** Asks at once what each ping asks; false where the link has ended by it. */
  recheck(): boolean {
    try {
      this.#options.check();
      return true;
    } catch (error) {
      this.end(error);
      return false;
    }
  }

  end(reason: unknown): void {
    this.#ending.abort(reason);
  }

  /** Ends by throwing the reason. */
  async *messages(): AsyncGenerator<T> {
    for (;;) yield await this.#queue.take(this.signal);
  }

  [Symbol.dispose](): void {
    this.#beating[Symbol.dispose]();
    this.#queue.close();
    this.end(new Failure("unavailable", "the link has ended", { retryable: true }));
  }

  #checkSilence(nowMs: number, heldMs: number): void {
    // While this process was held it asked for no answer, and took none.
    this.#lastHeardMs = Math.min(nowMs, this.#lastHeardMs + heldMs);
    if (nowMs - this.#lastHeardMs < SILENCE_MS_MAX) return;
    this.end(new Failure("unavailable", `the peer was silent for ${SILENCE_MS_MAX} ms`, { retryable: true }));
  }

  #ping(): void {
    if (!this.recheck()) return;
    const { clock, ping } = this.#options;
    this.#nonce += 1n;
    this.push(ping(this.#nonce, BigInt(Math.floor(clock.nowMs()))));
  }
}

/**
 * Takes the peer's messages beside what is sent; the link ends with them, or with what `take` throws. They are read on
 * until the call has ended: to stop reading would destroy the call, and the peer would never hear why.
 */
export function listenTo<M, T>(messages: AsyncIterable<M>, link: PeerLink<T>, take: (message: M) => void): void {
  const listen = async (): Promise<void> => {
    for await (const message of messages) {
      if (link.signal.aborted) continue;
      link.heard();
      try {
        take(message);
      } catch (error) {
        link.end(error);
      }
    }
    link.end(new Failure("unavailable", "the peer has ended the stream", { retryable: true }));
  };
  listen().catch((error: unknown) => link.end(error));
}
