/** The round trip of a WebSocket connection, by pings that nobody can answer before they came (RFC 6455 section 5.5.2). */
import type { WebSocket } from "ws";
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";

/** Not to be guessed: a pong sent ahead would make the round trip shorter. */
const PING_BYTES = 8;
/** Gain of the smoothed RTT (RFC 6298 section 2). */
const SMOOTHING_GAIN = 1 / 8;
/** A connection's first frames delay its first answers: it begins with the least of so many. */
const FIRST_ANSWERS = 3;

export interface PingTools {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly random: Pick<Random, "bytes">;
}

export class WebSocketPings {
  readonly #socket: WebSocket;
  readonly #tools: PingTools;
  #outstanding: { readonly content: Buffer; readonly sentAtMs: number } | undefined;
  #answers = 0;
  #leastMs = Number.POSITIVE_INFINITY;
  #smoothedMs = 0;

  constructor(socket: WebSocket, tools: PingTools) {
    this.#socket = socket;
    this.#tools = tools;
    socket.on("pong", (content) => this.#take(content));
  }

  /** The smoothed RTT so far, 0 before the first three answers. One ping at a time is on its way: a lost client costs one. */
  measureRtt(): number {
    const { clock, random } = this.#tools;
    if (this.#outstanding === undefined && this.#socket.readyState === this.#socket.OPEN) {
      const content = Buffer.from(random.bytes(PING_BYTES));
      this.#outstanding = { content, sentAtMs: clock.monotonicMs() };
      this.#socket.ping(content);
    }
    return this.#smoothedMs;
  }

  #take(content: Buffer): void {
    if (this.#outstanding === undefined || !this.#outstanding.content.equals(content)) return;
    const rttMs = this.#tools.clock.monotonicMs() - this.#outstanding.sentAtMs;
    this.#outstanding = undefined;
    this.#answers += 1;
    if (this.#answers > FIRST_ANSWERS) this.#smoothedMs += SMOOTHING_GAIN * (rttMs - this.#smoothedMs);
    else this.#leastMs = Math.min(this.#leastMs, rttMs);
    if (this.#answers === FIRST_ANSWERS) this.#smoothedMs = this.#leastMs;
  }
}
