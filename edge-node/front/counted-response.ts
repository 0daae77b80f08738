/** A response of node:http that knows how much content it was given. */
import { ServerResponse } from "node:http";

type Callback = (error: Error | null | undefined) => void;

export class CountedResponse extends ServerResponse {
  #givenBytes = 0;

  /** Of content, given to the connection. */
  get sentBytes(): number {
    if (this.req.method === "HEAD") return 0;
    return this.writableFinished ? this.#givenBytes : Math.max(0, this.#givenBytes - this.writableLength);
  }

  override write(chunk: string | Uint8Array, encodingOrDone?: BufferEncoding | Callback, done?: Callback): boolean {
    this.#count(chunk, encodingOrDone);
    if (typeof encodingOrDone === "string") return super.write(chunk, encodingOrDone, done);
    return super.write(chunk, encodingOrDone ?? done);
  }

  override end(chunkOrDone?: unknown, encodingOrDone?: BufferEncoding | (() => void), done?: () => void): this {
    if (typeof chunkOrDone === "string" || chunkOrDone instanceof Uint8Array) this.#count(chunkOrDone, encodingOrDone);
    if (typeof encodingOrDone === "string") return super.end(chunkOrDone, encodingOrDone, done);
    return super.end(chunkOrDone, encodingOrDone ?? done);
  }

  #count(chunk: string | Uint8Array, encoding: unknown): void {
    if (typeof chunk !== "string") this.#givenBytes += chunk.byteLength;
    else this.#givenBytes += Buffer.byteLength(chunk, encoding === "latin1" ? "latin1" : "utf8");
  }
}
