/** The life of a request: key, look up, decide, then serve, or collapse and fetch, and record. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { assert } from "#domain/assert.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { fieldsOf, fieldValue } from "#domain/http/fields.ts";
import type { ResolvedRange } from "#domain/http/range.ts";
import { currentAgeSeconds, decideLookup, type LookupDecision } from "../caching/lookup.ts";
import { ruleFor } from "../caching/rules.ts";
import { variantKey } from "../caching/variants.ts";
import type { CacheOutcome } from "../events.ts";
import { cacheKeyOf, type StoredResponse } from "../store/stored-response.ts";
import { type EdgeRequest, forwardedFields, isSafe, type Reading, readRequest } from "./edge-request.ts";
import { Fetching, type FetchingOptions, type Flight, type FlightOutcome } from "./fetching.ts";
import { partOf, sendAnswer, sendFailure, sendWhole } from "./sending.ts";

/** Where stale may be served, an upstream that does not answer is not waited for longer. */
const STALE_WAIT_MS = 2_000;
/** After the upstream failed, it is asked again this often where stale may be served. */
const UPSTREAM_RETRY_MS = 5_000;

export type RequestFlowOptions = FetchingOptions;

interface Exchange {
  readonly request: EdgeRequest;
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
}

export class RequestFlow {
  readonly #options: RequestFlowOptions;
  readonly #fetching: Fetching;
  /** By the monotonic clock. */
  #upstreamFailedMs = Number.NEGATIVE_INFINITY;

  constructor(options: RequestFlowOptions) {
    this.#options = options;
    this.#fetching = new Fetching(options);
  }

  async handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const { clock, events } = this.#options;
    const startedMs = clock.monotonicMs();
    const { method = "GET", url = "" } = incoming;
    const scheme = "encrypted" in incoming.socket ? "https" : "http";
    const reading = readRequest(scheme, method, url, fieldsOf(incoming.rawHeaders));
    let outcome: CacheOutcome = "failed";
    try {
      outcome = await this.#handle(reading, incoming, response);
    } catch (error) {
      if (!isFailure(error)) throw error;
      events.upstreamFailed(error);
      if (response.headersSent) response.destroy();
      else sendFailure(response, error, "fwd=bypass");
    }
    events.served({ method, target: url }, outcome, response.statusCode, (clock.monotonicMs() - startedMs) / 1000);
  }

  async #handle(reading: Reading, incoming: IncomingMessage, response: ServerResponse): Promise<CacheOutcome> {
    if (reading.kind === "refused") {
      const { why, status } = reading;
      sendFailure(response, new Failure("argument-invalid", why), "detail=refused", status);
      return "refused";
    }
    const { request } = reading;
    this.#refuseWhenDenied();
    const exchange = { request, incoming, response };
    const isStored = request.isCacheable && ruleFor(this.#options.rules ?? [], request.target).bypass !== true;
    return isStored ? await this.#answer(exchange) : await this.#forward(exchange, "fwd=bypass");
  }

  /** The policy's word on content while cut off: not at all once it has been too long. */
  #refuseWhenDenied(): void {
    const { cutOffSeconds = 0, denyAfterSeconds = Number.POSITIVE_INFINITY } = this.#options.staleBounds?.() ?? {};
    if (cutOffSeconds <= denyAfterSeconds) return;
    throw new Failure("unavailable", `not served after ${denyAfterSeconds} s without the cloud`, { retryable: true });
  }

  async #answer(exchange: Exchange): Promise<CacheOutcome> {
    const { request, response } = exchange;
    const { store, site, clock } = this.#options;
    const cacheKey = cacheKeyOf({ site, webOrigin: request.webOrigin, key: request.target });
    const found = store.find(cacheKey, request.fields);
    const stored = found instanceof Promise ? await found : found;
    const missing = () => (store.has(cacheKey) ? "vary-miss" : "uri-miss");
    const decision = decideLookup(stored?.freshness ?? missing(), request.asked, clock.nowMs());
    switch (decision.kind) {
      case "serve":
        assert(stored !== undefined, "only what is stored is served");
        await this.#serve(exchange, stored, `hit; ttl=${this.#freshForSeconds(stored)}`);
        return "hit";
      case "serve-stale-and-revalidate":
        assert(stored !== undefined, "only what is stored is served");
        this.#revalidate(request, stored);
        await this.#serve(exchange, stored, `hit; ttl=${this.#freshForSeconds(stored)}`);
        return "stale";
      case "refuse": {
        const failure = new Failure("deadline-exceeded", "only-if-cached, and nothing stored may be served");
        sendFailure(response, failure, "detail=only-if-cached");
        return "refused";
      }
      case "validate":
      case "forward":
        if (request.method === "HEAD") return await this.#forward(exchange, `fwd=${decision.because}`);
        return await this.#fetch(exchange, stored, decision.because);
    }
  }

  /** Joins the flight for the target or starts it; what turns out not to be shared goes on its own. */
  async #fetch(exchange: Exchange, stored: StoredResponse | undefined, because: Because): Promise<CacheOutcome> {
    const { request } = exchange;
    const joined = this.#fetching.find(request);
    const mayBeStale = stored !== undefined && this.#fetching.onFailure(stored).kind === "serve-stale";
    if (mayBeStale && this.#isUpstreamDown()) return await this.#onFailure(exchange, stored, DOWN, `fwd=${because}`);
    const flight = joined ?? this.#fetching.start(request, stored);
    if (flight === undefined) return await this.#forward(exchange, `fwd=${because}`);
    const outcome = await (mayBeStale ? this.#outcomeInTime(flight, joined === undefined) : flight.outcome);
    const status = `fwd=${because}${joined === undefined ? "" : "; collapsed"}`;
    if (joined !== undefined && !isShared(outcome, request)) return await this.#forward(exchange, `fwd=${because}`);
    switch (outcome.kind) {
      case "failed":
        return await this.#onFailure(exchange, stored, outcome.failure, status);
      case "validated":
        await this.#serve(exchange, outcome.stored, `${status}; fwd-status=304; stored`);
        return "validated";
      case "pass": {
        const { response } = outcome;
        const body = (range?: ResolvedRange) => partOf(response.body, range);
        await this.#send(exchange, { ...response, cacheStatus: status, body }, () => response.discard());
        return OUTCOMES[because];
      }
      case "arriving": {
        const { filling, ...head } = outcome.response;
        const ageSeconds = currentAgeSeconds(head.freshness, this.#options.clock.nowMs());
        await this.#send(exchange, {
          ...head,
          ageSeconds,
          cacheStatus: `${status}; stored`,
          body: (range) => partOf(filling.read(), range),
        });
        return joined === undefined ? OUTCOMES[because] : "collapsed";
      }
    }
  }

  async #onFailure(
    exchange: Exchange,
    stored: StoredResponse | undefined,
    failure: Failure,
    status: string,
  ): Promise<CacheOutcome> {
    const decision = stored && this.#fetching.onFailure(stored);
    if (failure !== DOWN) this.#noteFailure(failure);
    if (stored !== undefined && decision?.kind === "serve-stale") {
      await this.#serve(exchange, stored, `${status}; detail=${decision.because}`);
      return "stale";
    }
    sendFailure(exchange.response, failure, status);
    return "failed";
  }

  #noteFailure(failure: Failure): void {
    this.#options.events.upstreamFailed(failure);
    const hasAnswered = failure.detail["status"] !== undefined;
    if (failure.retryable && !hasAnswered) this.#upstreamFailedMs = this.#options.clock.monotonicMs();
  }

  #isUpstreamDown(): boolean {
    return this.#options.clock.monotonicMs() - this.#upstreamFailedMs < UPSTREAM_RETRY_MS;
  }

  /** A flight that takes too long goes on; whoever can have stale does not wait for it. */
  async #outcomeInTime(flight: Flight, isOwn: boolean): Promise<FlightOutcome> {
    const late = Promise.withResolvers<FlightOutcome>();
    using _timer = this.#options.clock.timer(STALE_WAIT_MS, () => {
      const failure = new Failure("upstream-timeout", `no answer in ${STALE_WAIT_MS} ms`, { retryable: true });
      late.resolve({ kind: "failed", failure });
      if (isOwn) void flight.outcome.then(discardUnshared);
    });
    return await Promise.race([flight.outcome, late.promise]);
  }

  /** In the background, once per target; its failure leaves what is stored. */
  #revalidate(request: EdgeRequest, stored: StoredResponse): void {
    if (this.#isUpstreamDown() || this.#fetching.find(request) !== undefined) return;
    const flight = this.#fetching.start(request, stored);
    void flight?.outcome.then((outcome) => {
      discardUnshared(outcome);
      if (outcome.kind === "failed") this.#noteFailure(outcome.failure);
    });
  }

  /** Past the store; an unsafe method that succeeds makes stored responses invalid (RFC 9111 section 4.4). */
  async #forward(exchange: Exchange, status: string): Promise<CacheOutcome> {
    const { request, incoming } = exchange;
    const { method, webOrigin, target } = request;
    const hasBody =
      incoming.headers["content-length"] !== undefined || incoming.headers["transfer-encoding"] !== undefined;
    const response = await this.#options.upstream.fetch({
      method,
      target,
      fields: forwardedFields(request, "as-asked"),
      ...(hasBody ? { body: incoming } : {}),
    });
    if (!isSafe(request) && response.status >= 200 && response.status < 400) {
      const named = ["location", "content-location"].map((name) => fieldValue(response.fields, name));
      const paths = named.filter((path) => path !== undefined && /^\/(?!\/)/.test(path));
      for (const invalid of new Set([target, ...paths]))
        if (invalid !== undefined) this.#fetching.invalidate({ webOrigin, target: invalid });
    }
    const cacheStatus = `${status}; fwd-status=${response.status}`;
    const body = (range?: ResolvedRange) => partOf(response.body, range);
    await this.#send(exchange, { ...response, cacheStatus, body }, () => response.discard());
    return "bypass";
  }

  async #serve(exchange: Exchange, stored: StoredResponse, cacheStatus: string): Promise<void> {
    const { body } = stored;
    const ageSeconds = currentAgeSeconds(stored.freshness, this.#options.clock.nowMs());
    const isWhole = exchange.request.method === "GET" && stored.status !== 204 && !exchange.request.isForPart;
    if (isWhole && body instanceof Uint8Array)
      return sendWhole(exchange.response, stored, body, { cacheStatus: `Perigee; ${cacheStatus}`, ageSeconds });
    const fields = new Map([...stored.fields]);
    if (stored.status !== 204) fields.set("content-length", [String(body.byteLength)]);
    const answer = { ...stored, fields, ageSeconds, cacheStatus };
    if (body instanceof Uint8Array)
      return await this.#send(exchange, {
        ...answer,
        body: (range) => [range === undefined ? body : body.subarray(range.start, range.end + 1)],
      });
    await using open = await body.open();
    if (open === undefined) return void (await this.#forward(exchange, "fwd=uri-miss"));
    const last = body.byteLength - 1;
    try {
      await this.#send(exchange, { ...answer, body: (range) => open.read(range?.start ?? 0, range?.end ?? last) });
    } catch (error) {
      // The store has counted and dropped it, and the connection is cut: no wrong byte was sent.
      if (!isFailure(error)) throw error;
    }
  }

  async #send(
    { request, response }: Exchange,
    answer: Parameters<typeof sendAnswer>[1],
    discard?: () => void,
  ): Promise<void> {
    try {
      await sendAnswer(request, answer, response, this.#options.clock.nowMs());
    } finally {
      discard?.();
    }
  }

  #freshForSeconds({ freshness }: StoredResponse): number {
    return Math.floor(freshness.lifetimeSeconds - currentAgeSeconds(freshness, this.#options.clock.nowMs()));
  }
}

/** Why the upstream is asked. */
type Because = Extract<LookupDecision, { kind: "forward" | "validate" }>["because"];

/** What became of it where the upstream answered with a response of its own. */
const OUTCOMES: Readonly<Record<Because, CacheOutcome>> = {
  "uri-miss": "uri-miss",
  "vary-miss": "vary-miss",
  stale: "replaced",
  request: "replaced",
};

/** While it is known to fail, it is not asked. */
const DOWN = new Failure("unavailable", "the upstream failed a moment ago");

function discardUnshared(outcome: FlightOutcome): void {
  if (outcome.kind === "pass") outcome.response.discard();
}

function isShared(outcome: FlightOutcome, request: EdgeRequest): boolean {
  if (outcome.kind === "failed") return true;
  if (outcome.kind === "pass") return false;
  const { varyNames, variant } = outcome.kind === "validated" ? outcome.stored : outcome.response;
  if (outcome.kind === "arriving" && !outcome.response.filling.isJoinable) return false;
  return variantKey(varyNames, request.fields) === variant;
}
