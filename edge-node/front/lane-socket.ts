/**
 * Stands for a connection towards node:http: it is given the bytes of the requests that the fast lane has not answered,
 * and writes to the connection. So node:http never reads more than its own requests.
 */
import { Duplex } from "node:stream";
import { type ClientSocket, destroyAfterWrites } from "./client-socket.ts";

export interface LaneSocketOwner {
  readonly socket: ClientSocket;
  /** node:http wants more bytes. */
  readonly onWanted: () => void;
  /** An answer of node:http has gone out. */
  readonly onAnswered: () => void;
}

type Written = (error?: Error | null) => void;

export class LaneSocket extends Duplex implements ClientSocket {
  /** There only where it is true, as with node:tls: who asks whether it is `in` a socket is answered right. */
  declare encrypted?: true;
  /** Whether nothing that comes after a request on it is a request. */
  hadLast = false;
  readonly #owner: LaneSocketOwner;

  constructor(owner: LaneSocketOwner) {
    super({ allowHalfOpen: true });
    this.#owner = owner;
    if ("encrypted" in owner.socket) this.encrypted = true;
  }

  get remoteAddress(): string | undefined {
    return this.#owner.socket.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#owner.socket.remotePort;
  }

  get remoteFamily(): string | undefined {
    return this.#owner.socket.remoteFamily;
  }

  get localAddress(): string | undefined {
    return this.#owner.socket.localAddress;
  }

  get localPort(): number | undefined {
    return this.#owner.socket.localPort;
  }

  get bytesRead(): number {
    return this.#owner.socket.bytesRead;
  }

  get bytesWritten(): number {
    return this.#owner.socket.bytesWritten;
  }

  answered(): void {
    this.#owner.onAnswered();
  }

  setTimeout(ms: number, listener?: () => void): this {
    this.#owner.socket.setTimeout(ms);
    if (listener !== undefined) this.once("timeout", listener);
    return this;
  }

  setNoDelay(isOn?: boolean): this {
    this.#owner.socket.setNoDelay(isOn);
    return this;
  }

  setKeepAlive(isOn?: boolean, initialDelayMs?: number): this {
    this.#owner.socket.setKeepAlive(isOn, initialDelayMs);
    return this;
  }

  ref(): this {
    this.#owner.socket.ref();
    return this;
  }

  unref(): this {
    this.#owner.socket.unref();
    return this;
  }

  destroySoon(): void {
    destroyAfterWrites(this);
  }

  override _read(): void {
    this.#owner.onWanted();
  }

  override _write(chunk: Uint8Array | string, encoding: BufferEncoding, done: Written): void {
    this.#owner.socket.write(chunk, encoding, done);
  }

  override _writev(
    chunks: readonly { readonly chunk: Uint8Array | string; readonly encoding: BufferEncoding }[],
    done: Written,
  ): void {
    const { socket } = this.#owner;
    socket.cork();
    for (const [index, { chunk, encoding }] of chunks.entries())
      socket.write(chunk, encoding, index === chunks.length - 1 ? done : undefined);
    socket.uncork();
  }

  override _final(done: Written): void {
    this.#owner.socket.end(done);
  }

  override _destroy(error: Error | null, done: Written): void {
    this.#owner.socket.destroy();
    done(error);
  }
}
