/**
 * One connection of HTTP/1.1 on two lanes. The fast lane reads it until a request comes that it does not answer: one
 * whose end it knows goes to the full lane alone, and after the answer the fast lane goes on; any other takes the
 * connection along for good, with all that follows.
 */
import type { EventEmitter } from "node:events";
import type { Scheme } from "../request/edge-request.ts";
import type { ClientSocket } from "./client-socket.ts";
import { type FastLane, LaneClient } from "./fast-lane.ts";
import { LaneSocket } from "./lane-socket.ts";
import { FAST_HEAD_BYTES_MAX, type HeadReading, readHead } from "./request-head.ts";

/** A head that comes in more pieces is for a parser that remembers where it was. */
const HEAD_PIECES_MAX = 8;
/** Requests that wait behind one on the full lane; after these nothing is read. */
const WAITING_BYTES_MAX = 16 * 1024;
/** How long a client may take nothing of an answer. */
export const WRITE_STALL_MS_MAX = 60_000;
/** How long a connection may be without a request. */
export const CONNECTION_IDLE_MS_MAX = 60_000;
/** From the first byte of a head to its last. */
export const REQUEST_HEAD_MS_MAX = 10_000;

export interface ConnectionParts {
  readonly fast: FastLane;
  readonly full: EventEmitter;
  readonly onClosed: (connection: Connection) => void;
  /** All that was read is answered. Whoever wants to know reads for it, and closes it when it is idle. */
  readonly onAnswered?: () => void;
}

/** `fast`: the fast lane reads. `full`: a request of known end is answered by node:http. `sticky`: node:http reads. */
type Lane = "fast" | "full" | "sticky";

const NOTHING = Buffer.alloc(0);
const TOO_SLOW = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

export class Connection {
  readonly #parts: ConnectionParts;
  readonly #socket: ClientSocket;
  readonly #client: LaneClient;
  #lane: Lane = "fast";
  #full: LaneSocket | undefined;
  /** Read, and not given to a lane. */
  #waiting: Buffer = NOTHING;
  /** In how many pieces the head that waits has come. */
  #pieces = 0;
  #hasEnded = false;
  #isStopping = false;
  /** Since its last byte, or since the first of the head that waits. */
  #quietMs = 0;

  constructor(parts: ConnectionParts, socket: ClientSocket, scheme: Scheme) {
    this.#parts = parts;
    this.#socket = socket;
    this.#client = new LaneClient(socket, scheme, () => this.#onDrain());
    socket.on("drain", () => this.#onDrain());
    socket.on("end", () => this.#onEnd());
    socket.on("timeout", () => this.#onTimeout());
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#onClose());
  }

  /** A response of node:http is sent. */
  #onAnswered(): void {
    if (this.#lane !== "full" || this.#full === undefined || this.#full.writableEnded || this.#full.destroyed) return;
    this.#lane = "fast";
    this.#goOn();
  }

  /** Called every `ms`. */
  look(ms: number): void {
    if (this.#lane !== "fast" || this.#isSending) return;
    this.#quietMs += ms;
    const isWithinHead = this.#waiting.byteLength > 0;
    if (isWithinHead && this.#quietMs > REQUEST_HEAD_MS_MAX) {
      this.#socket.write(TOO_SLOW);
      this.#socket.destroySoon();
    } else if (this.#quietMs > CONNECTION_IDLE_MS_MAX && this.#parts.onAnswered === undefined) this.#socket.destroy();
  }

  /** Takes no further request: ends now, or after the answer that is being sent. */
  stop(): void {
    this.#isStopping = true;
    if (this.#lane === "fast" && !this.#isSending) this.#socket.destroySoon();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** What has been read; the bytes are another's again when it returns. */
  receive(chunk: Buffer): void {
    switch (this.#lane) {
      case "fast":
        if (this.#waiting.byteLength === 0) this.#quietMs = 0;
        this.#readFast(this.#waiting.byteLength === 0 ? chunk : Buffer.concat([this.#waiting, chunk]));
        break;
      case "full":
        this.#waiting = Buffer.concat([this.#waiting, chunk]);
        if (this.#waiting.byteLength > WAITING_BYTES_MAX) this.#socket.pause();
        break;
      case "sticky":
        if (this.#full?.push(Buffer.from(chunk)) === false) this.#socket.pause();
    }
  }

  #readFast(bytes: Buffer): void {
    this.#waiting = NOTHING;
    let at = 0;
    while (at < bytes.byteLength && !this.#isSending) {
      const head = readHead(bytes, at);
      if (head.kind !== "simple" || !this.#parts.fast.answer(this.#client, bytes, head)) {
        this.#leave(bytes, at, head);
        return;
      }
      at = head.end;
    }
    this.#pieces = 0;
    if (this.#isSending) this.#waitForDrain(bytes.subarray(at));
    else this.#parts.onAnswered?.();
  }

  /** What the fast lane does not answer, or not yet. */
  #leave(bytes: Buffer, at: number, head: HeadReading): void {
    if (head.kind === "incomplete") this.#waitForRest(bytes.subarray(at));
    else if (head.kind === "unknown") this.#stick(bytes.subarray(at));
    else this.#handOver(bytes.subarray(at, head.end), bytes.subarray(head.end));
  }

  #waitForRest(bytes: Buffer): void {
    this.#pieces += 1;
    if (this.#pieces > HEAD_PIECES_MAX || bytes.byteLength > FAST_HEAD_BYTES_MAX) this.#stick(bytes);
    else this.#waiting = Buffer.from(bytes);
  }

  /** Nothing is read before the client has taken what was written. */
  #waitForDrain(bytes: Buffer): void {
    this.#waiting = bytes.byteLength === 0 ? NOTHING : Buffer.from(bytes);
    this.#socket.pause();
    this.#socket.setTimeout(WRITE_STALL_MS_MAX);
  }

  /** Whether what was written waits for the client, or for its turn. */
  get #isSending(): boolean {
    return this.#socket.writableNeedDrain || this.#client.isSending;
  }

  #onDrain(): void {
    if (this.#lane === "fast" && !this.#isSending && !this.#socket.destroyed) this.#goOn();
  }

  /** With what was read while the fast lane could not write. */
  #goOn(): void {
    this.#socket.setTimeout(0);
    this.#quietMs = 0;
    this.#readFast(this.#waiting);
    if (this.#lane !== "fast" || this.#isSending) return;
    if (this.#hasEnded || this.#isStopping) this.#socket.destroySoon();
    else this.#socket.resume();
  }

  /** `bytes` is one request; what follows waits for its answer. */
  #handOver(bytes: Buffer, following: Buffer): void {
    this.#lane = "full";
    this.#pieces = 0;
    this.#waiting = following.byteLength === 0 ? NOTHING : Buffer.from(following);
    this.#openFull().push(Buffer.from(bytes));
  }

  #stick(bytes: Buffer): void {
    this.#lane = "sticky";
    this.#waiting = NOTHING;
    if (!this.#openFull().push(Buffer.from(bytes))) this.#socket.pause();
  }

  #openFull(): LaneSocket {
    this.#socket.setTimeout(CONNECTION_IDLE_MS_MAX);
    if (this.#full !== undefined) return this.#full;
    const onWanted = () => {
      if (this.#lane === "sticky") this.#socket.resume();
    };
    const full = new LaneSocket({ socket: this.#socket, onWanted, onAnswered: () => this.#onAnswered() });
    this.#full = full;
    this.#parts.full.emit("connection", full);
    return full;
  }

  #onEnd(): void {
    this.#hasEnded = true;
    if (this.#lane === "fast" && this.#waiting.byteLength > 0 && !this.#isSending) this.#stick(this.#waiting);
    if (this.#lane !== "fast") this.#full?.push(null);
    else if (!this.#isSending) this.#socket.destroySoon();
  }

  #onTimeout(): void {
    if (this.#lane === "fast" || this.#full === undefined) this.#socket.destroy();
    else this.#full.emit("timeout");
  }

  #onClose(): void {
    this.#full?.destroy();
    this.#parts.onClosed(this);
  }
}
