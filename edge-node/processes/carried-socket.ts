/**
 * Stands in the main process for a connection that a front process has: bytes come and go by a carrier, a socket between
 * the two, in frames.
 */
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { type ClientSocket, destroyAfterWrites } from "../front/client-socket.ts";
import { type Frame, frameHead, markFrame } from "./frames.ts";
import type { Opening } from "./opening.ts";

type Written = (error?: Error | null) => void;

const NOTHING = Buffer.alloc(0);

export interface CarriedSocketOptions extends Opening {
  /** Of what is written, before `write` says to wait: as with a socket of this process. */
  readonly writeBufferedBytes: number;
}

export class CarriedSocket extends Duplex implements ClientSocket {
  /** There only where it is true, as with node:tls. */
  declare encrypted?: true;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly remoteFamily: string | undefined;
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
  readonly #carrier: Socket;
  #bytesRead = 0;
  #bytesWritten = 0;

  constructor(carrier: Socket, { writeBufferedBytes: writableHighWaterMark, ...opening }: CarriedSocketOptions) {
    super({ allowHalfOpen: true, writableHighWaterMark });
    this.#carrier = carrier;
    if (opening.scheme === "https") this.encrypted = true;
    this.remoteAddress = opening.remoteAddress;
    this.remotePort = opening.remotePort;
    this.remoteFamily = opening.remoteFamily;
    this.localAddress = opening.localAddress;
    this.localPort = opening.localPort;
    carrier.on("timeout", () => this.emit("timeout"));
    carrier.on("close", () => this.destroy());
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** What the front process has sent. */
  receive(frame: Frame): void {
    if (this.destroyed) return;
    if (frame.kind === "bytes") {
      this.#bytesRead += frame.bytes.byteLength;
      if (!this.push(frame.bytes)) this.#carrier.pause();
    } else if (frame.kind === "end") this.push(null);
    else if (frame.kind === "reset") this.destroy();
  }

  /** All that was given is answered: the front process may answer what comes next. */
  answered(): void {
    const tell = () => {
      if (!this.writableEnded && !this.destroyed) this.#carrier.write(markFrame("answered"));
    };
    if (this.writableLength === 0) tell();
    else this.write(NOTHING, tell);
  }

  setTimeout(ms: number, listener?: () => void): this {
    this.#carrier.setTimeout(ms);
    if (listener !== undefined) this.once("timeout", listener);
    return this;
  }

  /** It is the front process's to set: as it does for all. */
  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    this.#carrier.ref();
    return this;
  }

  unref(): this {
    this.#carrier.unref();
    return this;
  }

  destroySoon(): void {
    destroyAfterWrites(this);
  }

  override _read(): void {
    this.#carrier.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Written): void {
    this.#send([chunk], done);
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: Written): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: Written): void {
    this.#carrier.write(markFrame("end"), done);
  }

  override _destroy(error: Error | null, done: Written): void {
    if (!this.writableFinished && this.#carrier.writable) this.#carrier.write(markFrame("reset"));
    this.#carrier.destroySoon();
    done(error);
  }

  #send(chunks: readonly Buffer[], done: Written): void {
    const byteLength = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    if (byteLength === 0) {
      done();
      return;
    }
    this.#bytesWritten += byteLength;
    const carrier = this.#carrier;
    carrier.cork();
    carrier.write(frameHead("bytes", byteLength));
    for (const [index, chunk] of chunks.entries()) carrier.write(chunk, index === chunks.length - 1 ? done : undefined);
    carrier.uncork();
  }
}
