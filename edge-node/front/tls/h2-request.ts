/** An HTTP/2 stream as the request that a handler of `node:http` takes: its head in canonical form, its content as a stream. */
import { IncomingMessage } from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { H2Head } from "./h2-head.ts";

export class H2Request extends IncomingMessage {
  readonly #stream: ServerHttp2Stream;
  #isReading = false;
  #contentBytes = 0;

  constructor(stream: ServerHttp2Stream, socket: Socket, head: Extract<H2Head, { kind: "request" }>) {
    super(socket);
    this.#stream = stream;
    this.httpVersion = "2.0";
    this.httpVersionMajor = 2;
    this.httpVersionMinor = 0;
    this.method = head.method;
    this.url = head.target;
    this.rawHeaders = [...head.rawHeaders];
    this.headers = headersOf(head.rawHeaders);
    if (stream.readableEnded || stream.endAfterHeaders) this.#end();
    stream.once("close", () => this.#onClose());
  }

  /** Of content, so far. */
  get contentBytes(): number {
    return this.#contentBytes;
  }

  /** Whether it is the client that is waited for. */
  get isWaiting(): boolean {
    return !this.complete && this.#isReading && !this.#stream.isPaused() && this.readableLength === 0;
  }

  override _read(): void {
    if (this.complete) return;
    if (this.#isReading) return void this.#stream.resume();
    this.#isReading = true;
    this.#stream.on("data", (chunk: Buffer) => {
      this.#contentBytes += chunk.byteLength;
      if (!this.push(chunk)) this.#stream.pause();
    });
    this.#stream.once("end", () => this.#onEnd());
  }

  /** Of the stream only: the connection is the other streams' too. */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.complete && !this.readableEnded) {
      this.aborted = true;
      this.emit("aborted");
    }
    done(this.listenerCount("error") === 0 ? null : error);
  }

  #end(): void {
    this.complete = true;
    this.push(null);
  }

  /** A client's reset without an error looks like the end of its content. */
  #onEnd(): void {
    if (this.#stream.aborted) this.#onClose();
    else this.#end();
  }

  #onClose(): void {
    if (!this.complete) this.destroy(Object.assign(new Error("aborted"), { code: "ECONNRESET" }));
  }
}

/** As `node:http` joins them: what may not be there twice counts once, the rest is a list. */
function headersOf(raw: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? "";
    const value = raw[index + 1] ?? "";
    const before = headers[name];
    headers[name] = before === undefined || SINGLE.has(name) ? (before ?? value) : `${before}, ${value}`;
  }
  return headers;
}

const SINGLE = new Set([
  "age",
  "authorization",
  "content-length",
  "content-type",
  "etag",
  "expires",
  "from",
  "host",
  "if-modified-since",
  "if-unmodified-since",
  "last-modified",
  "location",
  "max-forwards",
  "proxy-authorization",
  "referer",
  "retry-after",
  "server",
  "user-agent",
]);
