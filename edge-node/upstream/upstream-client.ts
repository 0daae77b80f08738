/** The upstream over HTTP/1.1 by undici: bounded in time and size, every way to fail a named Failure, probed while down. */
import type { Readable } from "node:stream";
import type { Dispatcher, Pool } from "undici";
import { Failure, isFailure } from "#domain/failure.ts";
import { formatHttpDate } from "#domain/http/date.ts";
import type { Fields } from "#domain/http/fields.ts";
import type { Clock } from "#platform/clock.ts";
import type { ClientTls } from "#platform/grpc/client.ts";
import type { Random } from "#platform/random.ts";
import { Breaker } from "./breaker.ts";

export interface UpstreamRequest {
  readonly method: Dispatcher.HttpMethod;
  readonly target: string;
  readonly fields: Fields;
  readonly body?: Readable;
  /** Told of interim responses (1xx) as they come. */
  readonly onInterim?: (status: number, fields: Fields) => void;
  /** Which edge asks this node: absent for a user agent's request. */
  readonly askedBy?: "sibling" | "child";
}

export interface UpstreamResponse {
  readonly status: number;
  readonly fields: Fields;
  readonly requestedAtMs: number;
  readonly receivedAtMs: number;
  /** When the origin server was asked, at the latest, where another edge has kept the response: what a purge counts from. */
  readonly askedAtMs?: number;
  /** Read once; throws `upstream-timeout`, `upstream-truncated` or `upstream-malformed`. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Gives up the rest of the body. */
  discard(): void;
}

export interface UpstreamOptions {
  readonly url: URL;
  readonly clock: Clock;
  readonly random: Random;
  /** To a connection that stands. */
  readonly connectMsMax: number;
  /** From the call to the response's head. */
  readonly headMsMax: number;
  /** Between two parts of a body. */
  readonly idleMsMax: number;
  /** Of another edge: who it must be, and who asks. */
  readonly tls?: ClientTls;
}

export class UpstreamClient implements AsyncDisposable {
  readonly #options: UpstreamOptions;
  readonly #breaker: Breaker;
  #pool: Promise<Pool> | undefined;

  constructor(options: UpstreamOptions) {
    this.#options = options;
    this.#breaker = new Breaker(options);
  }

  /** Whether the last that was heard of it is that nobody answers, for this target at least. */
  isSuspect(target: string): boolean {
    return this.#breaker.isSuspect(target);
  }

  /** Whether somebody should ask it although it is suspect: once each interval. */
  takeProbe(): boolean {
    return this.#breaker.takeProbe();
  }

  /** It has let somebody wait for a target for longer than they could. */
  suspect(target: string): void {
    this.#breaker.late(target);
  }

  /**
   * Resolves with the head. Throws `unavailable`, `upstream-timeout`, `upstream-truncated` or `upstream-malformed`. A
   * connection that breaks before an answer is replaced once, where the request may be made twice (RFC 9110 section 9.2.2).
   */
  async fetch(request: UpstreamRequest): Promise<UpstreamResponse> {
    if (!this.#breaker.admits(request.target)) throw this.#downOf(request);
    const { clock, headMsMax } = this.#options;
    const giveUp = new AbortController();
    using _deadline = clock.timer(headMsMax, () => giveUp.abort(timeoutOf(request, `no response in ${headMsMax} ms`)));
    const mayBeRepeated = IDEMPOTENT.has(request.method) && request.body === undefined && !this.#breaker.isOpen;
    for (let attempts = mayBeRepeated ? ATTEMPTS_MAX : 1; ; ) {
      try {
        return await this.#attempt(request, giveUp.signal);
      } catch (error) {
        const failure = failureOf(error, request);
        if (failure.detail["isUnreached"] === true) this.#breaker.unreached();
        if (giveUp.signal.aborted) this.#breaker.late(request.target);
        const isUserAgents = request.body?.readableAborted === true;
        if (failure.code === "upstream-truncated" && !isUserAgents) this.#breaker.broke(request.target);
        attempts -= 1;
        if (attempts === 0 || failure.code !== "upstream-truncated" || giveUp.signal.aborted) throw failure;
      }
    }
  }

  async #attempt(request: UpstreamRequest, signal: AbortSignal): Promise<UpstreamResponse> {
    const { clock, idleMsMax } = this.#options;
    const requestedAtMs = clock.nowMs();
    const pool = await this.#connections();
    const response = await pool.request({
      method: request.method,
      path: request.target,
      headers: [...request.fields].flatMap(([name, values]) => values.flatMap((value) => [name, value])),
      body: request.body ?? null,
      signal,
      ...interimOption(request),
    });
    this.#breaker.answered();
    // Without this a body that is given up unread is an uncaught error.
    response.body.on("error", () => undefined);
    const body = bounded(response, request, () =>
      clock.timer(idleMsMax, () => response.body.destroy(timeoutOf(request, `nothing for ${idleMsMax} ms`))),
    );
    const receivedAtMs = clock.nowMs();
    const fields = fieldsFrom(response, request);
    // RFC 9110 section 6.6.1: who has a clock adds it.
    if (!fields.has("date")) fields.set("date", [formatHttpDate(receivedAtMs)]);
    const discard = () => void response.body.destroy();
    return { status: response.statusCode, fields, requestedAtMs, receivedAtMs, body, discard };
  }

  #downOf(request: UpstreamRequest): Failure {
    const { retryAfterMs } = this.#breaker;
    const words = `${nameOf(request)}: does not answer, and is asked again in ${Math.ceil(retryAfterMs)} ms`;
    return new Failure("unavailable", words, { retryable: true, detail: { isDown: true, retryAfterMs } });
  }

  #watched(pool: Pool): Pool {
    return pool.on("connect", () => this.#breaker.reached());
  }

  #connections(): Promise<Pool> {
    const pool =
      this.#pool ?? loadConnections().then(({ openConnections }) => this.#watched(openConnections(this.#options)));
    this.#pool = pool;
    return pool;
  }

  /** Takes no more; what is under way goes on to its end. */
  async close(): Promise<void> {
    await (await this.#pool)?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#pool)?.destroy();
  }
}

const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);
const ATTEMPTS_MAX = 2;

function interimOption({ onInterim }: UpstreamRequest) {
  if (onInterim === undefined) return {};
  return {
    onInfo: ({ statusCode, headers }: { statusCode: number; headers: Record<string, string | string[]> }) =>
      onInterim(
        statusCode,
        new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), [value].flat()])),
      ),
  };
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

function fieldsFrom(
  { headers, body }: Dispatcher.ResponseData,
  request: UpstreamRequest,
): Map<string, readonly string[]> {
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

/** Proxy-Status names (RFC 9209 section 2.3) of what the system says, and whether no connection was made. */
const PROXY_ERRORS: readonly (readonly [RegExp, string, boolean])[] = [
  [/^ECONNREFUSED$/, "connection_refused", true],
  [/^(ECONNRESET|EPIPE|UND_ERR_SOCKET)$/, "connection_terminated", false],
  [/^(UND_ERR_CONNECT_TIMEOUT|ETIMEDOUT)$/, "connection_timeout", true],
  [/^(ENOTFOUND|EAI_)/, "dns_error", true],
  [/^(EHOSTUNREACH|ENETUNREACH)$/, "destination_ip_unroutable", true],
  [/^(CERT_|ERR_TLS_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/, "tls_certificate_error", true],
];

function timeoutOf(request: UpstreamRequest, what: string): Failure {
  return new Failure("upstream-timeout", `${nameOf(request)}: ${what}`, { retryable: true });
}

function failureOf(error: unknown, request: UpstreamRequest): Failure {
  if (isFailure(error)) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const words = `${nameOf(request)}: ${error instanceof Error ? error.message : String(error)}`;
  const [, proxyError, isUnreached] = PROXY_ERRORS.find(([pattern]) => pattern.test(code)) ?? [];
  const detail = proxyError === undefined ? {} : { detail: { proxyError, isUnreached } };
  const options = { retryable: true, cause: error, ...detail };
  if (code === "UND_ERR_CONNECT_TIMEOUT") return new Failure("upstream-timeout", words, options);
  if (code === "HPE_INVALID_EOF_STATE") return new Failure("upstream-truncated", words, options);
  if (error instanceof Error && (error.name === "HTTPParserError" || code === "UND_ERR_HEADERS_OVERFLOW"))
    return new Failure("upstream-malformed", words, options);
  const isCut = /^(UND_ERR_SOCKET|UND_ERR_RES_CONTENT_LENGTH_MISMATCH|UND_ERR_ABORTED|ECONNRESET|EPIPE)$/.test(code);
  return new Failure(isCut ? "upstream-truncated" : "unavailable", words, options);
}
