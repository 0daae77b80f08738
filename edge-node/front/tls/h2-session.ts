/** One HTTP/2 connection: counts what its client does, and ends it where that is a flood or a standstill. */
import { constants, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Clock } from "#platform/clock.ts";
import type { ClientSocket } from "../client-socket.ts";
import { beginFloodState, type FloodState, isFlood, nextFloodState } from "./flood-budget.ts";
import type { H2Request } from "./h2-request.ts";
import type { H2Response } from "./h2-response.ts";
import type { H2Events, H2Refusal } from "./h2-sessions.ts";

/** Pings and settings at once; each is answered. */
const CONTROL_BURST_MAX = 100;
const CONTROL_PER_SECOND_MAX = 10;
/** A client that takes nothing, or sends nothing of what it announced, for this long will not go on. */
const STREAM_STILL_MS_MAX = 60_000;
/** Without a request, as in HTTP/1.1. */
const SESSION_IDLE_MS_MAX = 60_000;
/** Of answers, encrypted ahead of the client, of all streams together; a stream gets a frame of it at least. */
const SESSION_QUEUED_BYTES_MAX = 1024 * 1024;
const PIECE_BYTES_MIN = 16 * 1024;
/** Taken as a whole before a stream counts as moving: about 1 KB/s. */
const PIECE_BYTES_MAX = 64 * 1024;
/** After the last frame was queued: a client that reads nothing keeps no socket. */
const GOODBYE_MS_MAX = 1_000;

export interface Exchange {
  readonly stream: ServerHttp2Stream;
  readonly incoming: H2Request;
  readonly response: H2Response;
  /** The fields as they came. */
  readonly raw: readonly string[];
}

interface Watched extends Exchange {
  /** Content that had passed when it was last seen to move, and when. */
  movedBytes: number;
  movedMs: number;
}

export interface H2SessionOptions {
  readonly node: ServerHttp2Session;
  readonly socket: ClientSocket;
  readonly clock: Clock;
  readonly events: H2Events;
}

export class H2Session {
  readonly #options: H2SessionOptions;
  readonly #open = new Map<ServerHttp2Stream, Watched>();
  #flood: FloodState;
  #controlFrames = 0;
  #controlMs: number;
  #requests = 0;
  #headBytes = 0;
  /** Of streams that are closed. */
  #contentBytes = 0;
  #idleSinceMs: number;
  #isEnded = false;

  constructor(options: H2SessionOptions) {
    this.#options = options;
    const nowMs = options.clock.monotonicMs();
    this.#flood = beginFloodState(nowMs);
    this.#controlMs = nowMs;
    this.#idleSinceMs = nowMs;
    const { node } = options;
    node.on("ping", () => this.#onControlFrame());
    node.on("remoteSettings", () => this.#onControlFrame());
    // Node has ended the connection by then: a protocol error, one of its own limits, or the network.
    node.on("error", (error) => {
      if (!this.#isEnded && isOfProtocol(error)) this.#tell("protocol");
    });
  }

  get socket(): ClientSocket {
    return this.#options.socket;
  }

  /** How much content a stream may queue at once. */
  get pieceBytes(): number {
    const share = Math.floor(SESSION_QUEUED_BYTES_MAX / Math.max(1, this.#open.size));
    return Math.min(PIECE_BYTES_MAX, Math.max(PIECE_BYTES_MIN, share));
  }

  began(exchange: Exchange): void {
    const { stream, raw } = exchange;
    this.#requests += 1;
    this.#headBytes += raw.reduce((sum, text) => sum + text.length, 0);
    this.#open.set(stream, { ...exchange, movedBytes: 0, movedMs: this.#options.clock.monotonicMs() });
    // What it failed of is told by its session or by who writes to it.
    stream.on("error", () => {});
    stream.once("close", () => this.#onStreamClosed(stream));
    exchange.response.once("finish", () => {
      // The rest of its content would wait for a reader for ever (RFC 9113 section 8.1).
      if (!exchange.incoming.complete) stream.close(constants.NGHTTP2_NO_ERROR);
    });
  }

  /** From time to time: ends what floods, stands still or has nothing to do. */
  look(): void {
    const { node, clock } = this.#options;
    if (node.destroyed) return;
    const nowMs = clock.monotonicMs();
    this.#flood = nextFloodState(this.#flood, this.#traffic(), nowMs);
    if (isFlood(this.#flood)) this.#end("overhead-flood");
    for (const watched of this.#open.values()) this.#lookAt(watched, nowMs);
    if (this.#open.size === 0 && nowMs - this.#idleSinceMs >= SESSION_IDLE_MS_MAX) void this.stop();
  }

  /** Lets nothing new begin; resolves once the connection is closed, after a moment for what is open. */
  stop(): Promise<void> {
    const { node, socket, clock } = this.#options;
    if (node.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = clock.timer(GOODBYE_MS_MAX, () => {
        node.destroy();
        socket.destroy();
      });
      node.once("close", () => {
        timer[Symbol.dispose]();
        resolve();
      });
      node.close();
    });
  }

  #lookAt(watched: Watched, nowMs: number): void {
    const { incoming, response, stream } = watched;
    const movedBytes = incoming.contentBytes + response.sentBytes;
    const isTheirTurn = response.unsentBytes > 0 || incoming.isWaiting;
    if (movedBytes !== watched.movedBytes || !isTheirTurn) {
      watched.movedBytes = movedBytes;
      watched.movedMs = nowMs;
      return;
    }
    if (nowMs - watched.movedMs < STREAM_STILL_MS_MAX) return;
    this.#tell(response.unsentBytes > 0 ? "slow-reader" : "slow-request");
    stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    stream.destroy();
  }

  #onControlFrame(): void {
    const nowMs = this.#options.clock.monotonicMs();
    const leaked = ((nowMs - this.#controlMs) / 1000) * CONTROL_PER_SECOND_MAX;
    this.#controlFrames = Math.max(0, this.#controlFrames - leaked) + 1;
    this.#controlMs = nowMs;
    if (this.#controlFrames > CONTROL_BURST_MAX) this.#end("control-flood");
  }

  #onStreamClosed(stream: ServerHttp2Stream): void {
    this.#contentBytes += this.#open.get(stream)?.incoming.contentBytes ?? 0;
    this.#open.delete(stream);
    if (this.#open.size === 0) this.#idleSinceMs = this.#options.clock.monotonicMs();
  }

  #traffic() {
    const { bytesRead, bytesWritten } = this.#options.socket;
    const open = [...this.#open.values()].reduce((sum, { incoming }) => sum + incoming.contentBytes, 0);
    return {
      receivedBytes: bytesRead,
      sentBytes: bytesWritten,
      requests: this.#requests,
      headBytes: this.#headBytes,
      contentBytes: this.#contentBytes + open,
    };
  }

  #end(because: H2Refusal): void {
    const { node, socket, clock } = this.#options;
    if (node.destroyed) return;
    this.#tell(because);
    this.#isEnded = true;
    node.destroy(new Error(because), constants.NGHTTP2_ENHANCE_YOUR_CALM);
    const timer = clock.timer(GOODBYE_MS_MAX, () => socket.destroy());
    socket.once("close", () => timer[Symbol.dispose]());
  }

  #tell(because: H2Refusal): void {
    this.#options.events.h2Refused(because, this.#options.socket.remoteAddress);
  }
}

/** Rather than of the network. */
function isOfProtocol(error: Error): boolean {
  return "code" in error && typeof error.code === "string" && error.code.startsWith("ERR_HTTP2");
}
