/** The upstream over HTTP/1.1 by undici: bounded in time and size, every way to fail a named Failure. */
import type { Readable } from "node:stream";
import type { Dispatcher, Pool } from "undici";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Fields } from "#domain/http/fields.ts";
import type { Clock } from "#platform/clock.ts";

export interface UpstreamRequest {
  readonly method: Dispatcher.HttpMethod;
  readonly target: string;
  readonly fields: Fields;
  readonly body?: Readable;
}

export interface UpstreamResponse {
  readonly status: number;
  readonly fields: Fields;
  readonly requestedAtMs: number;
  readonly receivedAtMs: number;
  /** Read once; throws `upstream-timeout`, `upstream-truncated` or `upstream-malformed`. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Gives up the rest of the body. */
  discard(): void;
}

export interface UpstreamOptions {
  readonly url: URL;
  readonly clock: Clock;
  /** To a connection that stands. */
  readonly connectMsMax: number;
  /** From the call to the response's head. */
  readonly headMsMax: number;
  /** Between two parts of a body. */
  readonly idleMsMax: number;
}

export class UpstreamClient implements AsyncDisposable {
  readonly #options: UpstreamOptions;
  #pool: Promise<Pool> | undefined;

  constructor(options: UpstreamOptions) {
    this.#options = options;
  }

  /** Resolves with the head. Throws `unavailable`, `upstream-timeout`, `upstream-truncated` or `upstream-malformed`. */
  async fetch(request: UpstreamRequest): Promise<UpstreamResponse> {
    const { clock, headMsMax, idleMsMax } = this.#options;
    const giveUp = new AbortController();
    using _deadline = clock.timer(headMsMax, () => giveUp.abort(timeoutOf(request, `no response in ${headMsMax} ms`)));
    const requestedAtMs = clock.nowMs();
    try {
      const pool = await this.#connections();
      const response = await pool.request({
        method: request.method,
        path: request.target,
        headers: [...request.fields].flatMap(([name, values]) => values.flatMap((value) => [name, value])),
        body: request.body ?? null,
        signal: giveUp.signal,
      });
      // Without this a body that is given up unread is an uncaught error.
      response.body.on("error", () => undefined);
      const body = bounded(response, request, () =>
        clock.timer(idleMsMax, () => response.body.destroy(timeoutOf(request, `nothing for ${idleMsMax} ms`))),
      );
      const fields = fieldsFrom(response, request);
      const discard = () => void response.body.destroy();
      return { status: response.statusCode, fields, requestedAtMs, receivedAtMs: clock.nowMs(), body, discard };
    } catch (error) {
      throw failureOf(error, request);
    }
  }

  #connections(): Promise<Pool> {
    const pool = this.#pool ?? loadConnections().then(({ openConnections }) => openConnections(this.#options));
    this.#pool = pool;
    return pool;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#pool)?.destroy();
  }
}

/** A fifth of what a cold start would load, which what is stored can do without: by the first request, or before by who has the time. */
export const loadConnections = () => import("./connections.ts");

async function* bounded(
  response: Dispatcher.ResponseData,
  request: UpstreamRequest,
  startTimer: () => Disposable,
): AsyncGenerator<Uint8Array> {
  const chunks: AsyncIterator<Uint8Array> = response.body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await within(startTimer, () => chunks.next());
      if (next.done === true) return;
      yield next.value;
    }
  } catch (error) {
    throw failureOf(error, request);
  } finally {
    response.body.destroy();
  }
}

async function within<T>(startTimer: () => Disposable, run: () => Promise<T>): Promise<T> {
  using _timer = startTimer();
  return await run();
}

/** What may stand in a field's value, and be passed on as it is. */
const FIELD_VALUE = /^[\t -~\x80-\xff]*$/;

function fieldsFrom({ headers, body }: Dispatcher.ResponseData, request: UpstreamRequest): Fields {
  const fields = new Map<string, readonly string[]>();
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue;
    const values = Array.isArray(value) ? value : [value];
    if (!values.every((text) => FIELD_VALUE.test(text))) {
      body.destroy();
      throw new Failure("upstream-malformed", `${nameOf(request)}: field ${name} has bytes that no field may have`);
    }
    fields.set(name.toLowerCase(), values);
  }
  return fields;
}

function nameOf({ method, target }: UpstreamRequest): string {
  return `upstream ${method} ${target}`;
}

function timeoutOf(request: UpstreamRequest, what: string): Failure {
  return new Failure("upstream-timeout", `${nameOf(request)}: ${what}`, { retryable: true });
}

function failureOf(error: unknown, request: UpstreamRequest): Failure {
  if (isFailure(error)) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const words = `${nameOf(request)}: ${error instanceof Error ? error.message : String(error)}`;
  const options = { retryable: true, cause: error };
  if (code === "UND_ERR_CONNECT_TIMEOUT") return new Failure("upstream-timeout", words, options);
  if (code === "HPE_INVALID_EOF_STATE") return new Failure("upstream-truncated", words, options);
  if (error instanceof Error && (error.name === "HTTPParserError" || code === "UND_ERR_HEADERS_OVERFLOW"))
    return new Failure("upstream-malformed", words, options);
  const isCut = /^(UND_ERR_SOCKET|UND_ERR_RES_CONTENT_LENGTH_MISMATCH|UND_ERR_ABORTED|ECONNRESET|EPIPE)$/.test(code);
  return new Failure(isCut ? "upstream-truncated" : "unavailable", words, options);
}
