/** An HTTP/2 stream as the response that a handler of `node:http` writes. */
import { type IncomingMessage, type OutgoingHttpHeader, type OutgoingHttpHeaders, ServerResponse } from "node:http";
import { constants, type ServerHttp2Stream } from "node:http2";
import { assert } from "#domain/assert.ts";

type Callback = (error: Error | null | undefined) => void;
type Given = OutgoingHttpHeaders | readonly OutgoingHttpHeader[];

/** RFC 9113 section 8.2.2: of a connection, and HTTP/2 has its own ways for them. */
const OF_A_CONNECTION = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);

/** RFC 8297. */
const EARLY_HINTS = 103;

export class H2Response extends ServerResponse {
  readonly #stream: ServerHttp2Stream;
  readonly #isHead: boolean;
  /** Decided and not sent yet: an answer without content is one frame. */
  #head: string[] | undefined;
  #isHeadSent = false;
  #isFinishTold = false;
  #givenBytes = 0;
  /** Content that the connection has no room for; a handler that waits for `drain` has one piece here at most. */
  readonly #waiting: { bytes: Uint8Array; readonly done: Callback | undefined }[] = [];
  readonly #pieceBytes: () => number;

  /** `pieceBytes`: how much of it the connection takes at once. */
  constructor(request: IncomingMessage, stream: ServerHttp2Stream, pieceBytes: () => number) {
    super(request);
    this.#stream = stream;
    this.#pieceBytes = pieceBytes;
    this.#isHead = request.method === "HEAD";
    Object.defineProperties(this, {
      headersSent: { get: () => this.#head !== undefined || this.#isHeadSent },
      writableNeedDrain: { get: () => this.#waiting.length > 0 || this.#stream.writableNeedDrain },
      writableLength: { get: () => this.unsentBytes },
      writableFinished: { get: () => this.#isFinishTold },
    });
    stream.on("drain", () => this.#onDrain());
    stream.once("finish", () => this.#onFinish());
    stream.once("close", () => this.#onClose());
  }

  /** Of content, taken by the connection: grows while the client reads. */
  get sentBytes(): number {
    return this.#givenBytes - this.unsentBytes;
  }

  get unsentBytes(): number {
    return this.#stream.bufferSize + this.#waiting.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
  }

  override writeHead(status: number, reasonOrFields?: string | Given, fields?: Given): this {
    assert(!this.headersSent, "a response has one head");
    this.statusCode = status;
    const given = typeof reasonOrFields === "string" ? fields : reasonOrFields;
    const own = Object.entries(this.getHeaders());
    const list = listOf(given);
    const names = new Set(list.map(([name]) => name));
    const kept = own.flatMap(([name, value]) => (value === undefined || names.has(name) ? [] : textsOf(name, value)));
    this.#head = [":status", String(status), ...[...kept, ...list].filter(([name]) => isPassed(name, status)).flat()];
    return this;
  }

  override flushHeaders(): void {
    this.#sendHead(false);
  }

  override write(chunk: string | Uint8Array, encodingOrDone?: BufferEncoding | Callback, done?: Callback): boolean {
    const encoding = typeof encodingOrDone === "string" ? encodingOrDone : "utf8";
    const callback = typeof encodingOrDone === "function" ? encodingOrDone : done;
    this.#sendHead(false);
    if (!this.#hasContent() || this.#isGone()) {
      if (callback !== undefined) process.nextTick(callback, null);
      return !this.#isGone();
    }
    const bytes = typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk;
    this.#givenBytes += bytes.byteLength;
    this.#waiting.push({ bytes, done: callback });
    this.#pump();
    return !this.writableNeedDrain;
  }

  override end(chunkOrDone?: unknown, encodingOrDone?: BufferEncoding | (() => void), done?: () => void): this {
    const callback = [chunkOrDone, encodingOrDone, done].find((argument) => typeof argument === "function");
    if (this.finished) return this;
    const isContent = typeof chunkOrDone === "string" || chunkOrDone instanceof Uint8Array;
    if (callback !== undefined) this.once("finish", () => callback());
    if (isContent && chunkOrDone.length > 0 && this.#hasContent())
      this.write(chunkOrDone, typeof encodingOrDone === "string" ? encodingOrDone : "utf8");
    this.finished = true;
    this.#sendHead(true);
    this.#pump();
    // Node ends the stream of a HEAD before there is an answer.
    if (this.#stream.writableFinished) process.nextTick(() => this.#onFinish());
    return this;
  }

  /** Cuts the stream: what came of it must not be taken for the whole. */
  override destroy(error?: Error): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    this.#stream.close(error === undefined ? constants.NGHTTP2_CANCEL : constants.NGHTTP2_INTERNAL_ERROR);
    return this;
  }

  override writeInformation(status: number, fieldsOrDone?: Given | (() => void), done?: () => void): void {
    const fields = typeof fieldsOrDone === "function" ? undefined : fieldsOrDone;
    const callback = typeof fieldsOrDone === "function" ? fieldsOrDone : done;
    if (!this.headersSent && !this.#isGone()) this.#stream.additionalHeaders(informationOf(status, fields));
    if (callback !== undefined) process.nextTick(callback);
  }

  override writeContinue(done?: () => void): void {
    this.writeInformation(constants.HTTP_STATUS_CONTINUE, {}, done);
  }

  override writeProcessing(done?: () => void): void {
    this.writeInformation(constants.HTTP_STATUS_PROCESSING, {}, done);
  }

  override writeEarlyHints(hints: Record<string, string | string[]>, done?: () => void): void {
    this.writeInformation(EARLY_HINTS, hints, done);
  }

  #isGone(): boolean {
    return this.#stream.destroyed || this.#stream.closed;
  }

  #hasContent(): boolean {
    return !this.#isHead && this.statusCode !== 204 && this.statusCode !== 205 && this.statusCode !== 304;
  }

  #sendHead(isAll: boolean): void {
    if (this.#isHeadSent) return;
    if (this.#head === undefined) this.writeHead(this.statusCode);
    this.#isHeadSent = true;
    if (this.#isGone() || this.#head === undefined) return;
    const options = { endStream: isAll || !this.#hasContent(), sendDate: this.sendDate };
    this.#stream.respond(this.#head, options);
  }

  /** A large chunk goes piece by piece: what is encrypted ahead of a client that does not read costs memory. */
  #pump(): void {
    while (!this.#isGone() && !this.#stream.writableNeedDrain) {
      const [next] = this.#waiting;
      if (next === undefined) break;
      const piece = next.bytes.subarray(0, this.#pieceBytes());
      next.bytes = next.bytes.subarray(piece.byteLength);
      if (next.bytes.byteLength === 0) this.#waiting.shift();
      if (next.bytes.byteLength === 0 && next.done !== undefined) this.#stream.write(piece, next.done);
      else this.#stream.write(piece);
    }
    if (this.finished && this.#waiting.length === 0 && !this.#isGone()) this.#stream.end();
  }

  #onDrain(): void {
    this.#pump();
    if (!this.finished && !this.writableNeedDrain) this.emit("drain");
  }

  #onFinish(): void {
    if (!this.finished || this.#isFinishTold) return;
    this.#isFinishTold = true;
    this.emit("finish");
  }

  #onClose(): void {
    this.destroyed = true;
    this.#waiting.length = 0;
    this.emit("close");
  }
}

/** Of no connection; and a 204 has no length (RFC 9110 section 8.6), which clients of HTTP/2 take for an error. */
function isPassed(name: string, status: number): boolean {
  return !OF_A_CONNECTION.has(name) && !(status === 204 && name === "content-length");
}

function listOf(given: Given | undefined): readonly [string, string][] {
  if (given === undefined) return [];
  if (!isFlat(given))
    return Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : textsOf(name, value)));
  return given.flatMap((name, index) => {
    const value = given[index + 1];
    return index % 2 === 0 && value !== undefined ? textsOf(String(name), value) : [];
  });
}

function isFlat(given: Given): given is readonly OutgoingHttpHeader[] {
  return Array.isArray(given);
}

function textsOf(name: string, value: OutgoingHttpHeader): [string, string][] {
  const lower = name.toLowerCase();
  return Array.isArray(value) ? value.map((one) => [lower, one]) : [[lower, String(value)]];
}

function informationOf(status: number, fields: Given | undefined): Record<string, string[] | number> {
  const grouped: Record<string, string[] | number> = { ":status": status };
  for (const [name, value] of listOf(fields)) {
    if (OF_A_CONNECTION.has(name)) continue;
    const before = grouped[name];
    grouped[name] = Array.isArray(before) ? [...before, value] : [value];
  }
  return grouped;
}
