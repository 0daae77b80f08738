/** The life of a request: key, look up, decide, then serve, or collapse and fetch, and record. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { assert } from "#domain/assert.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { fieldsOf, fieldValue } from "#domain/http/fields.ts";
import { currentAgeSeconds, decideLookup, decideOnFailure } from "../caching/lookup.ts";
import { variantKey } from "../caching/variants.ts";
import type { CacheOutcome } from "../events.ts";
import type { StoredResponse } from "../store/stored-response.ts";
import { type EdgeRequest, forwardedFields, isSafe, readRequest } from "./edge-request.ts";
import { Fetching, type FetchingOptions, type FlightOutcome } from "./fetching.ts";
import { sendAnswer, sendFailure } from "./sending.ts";

interface Exchange {
  readonly request: EdgeRequest;
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
}

export class RequestFlow {
  readonly #options: FetchingOptions;
  readonly #fetching: Fetching;

  constructor(options: FetchingOptions) {
    this.#options = options;
    this.#fetching = new Fetching(options);
  }

  async handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const { clock, events } = this.#options;
    const startedMs = clock.monotonicMs();
    const { method = "GET", url = "" } = incoming;
    const request = readRequest(method, url, fieldsOf(incoming.rawHeaders));
    let outcome: CacheOutcome = "failed";
    try {
      if (request === undefined) throw new Failure("argument-invalid", "the target must be a path or an http URL");
      const exchange = { request, incoming, response };
      outcome = request.isCacheable ? await this.#answer(exchange) : await this.#forward(exchange, "fwd=bypass");
    } catch (error) {
      if (!isFailure(error)) throw error;
      events.upstreamFailed(error);
      if (response.headersSent) response.destroy();
      else sendFailure(response, error, "fwd=bypass");
    }
    events.served({ method, target: url }, outcome, response.statusCode, (clock.monotonicMs() - startedMs) / 1000);
  }

  async #answer(exchange: Exchange): Promise<CacheOutcome> {
    const { request, response } = exchange;
    const stored = this.#options.store.find(request.target, request.fields);
    const decision = decideLookup(stored?.freshness, request.asked, this.#options.clock.nowMs());
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
  async #fetch(exchange: Exchange, stored: StoredResponse | undefined, because: string): Promise<CacheOutcome> {
    const { request } = exchange;
    const joined = this.#fetching.find(request.target);
    const flight = joined ?? this.#fetching.start(request, stored);
    if (flight === undefined) return await this.#forward(exchange, `fwd=${because}`);
    const outcome = await flight.outcome;
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
        const answer = { ...response, cacheStatus: status, body: () => response.body };
        await this.#send(exchange, answer, () => response.discard());
        return "uri-miss";
      }
      case "arriving": {
        const { filling, ...head } = outcome.response;
        const ageSeconds = currentAgeSeconds(head.freshness, this.#options.clock.nowMs());
        await this.#send(exchange, {
          ...head,
          ageSeconds,
          cacheStatus: `${status}; stored`,
          body: () => filling.read(),
        });
        return joined === undefined ? "uri-miss" : "collapsed";
      }
    }
  }

  async #onFailure(
    exchange: Exchange,
    stored: StoredResponse | undefined,
    failure: Failure,
    status: string,
  ): Promise<CacheOutcome> {
    const decision = stored && decideOnFailure(stored.freshness, {}, this.#options.clock.nowMs());
    this.#options.events.upstreamFailed(failure);
    if (stored !== undefined && decision?.kind === "serve-stale") {
      await this.#serve(exchange, stored, `${status}; detail=${decision.because}`);
      return "stale";
    }
    sendFailure(exchange.response, failure, status);
    return "failed";
  }

  /** In the background, once per target; its failure leaves what is stored. */
  #revalidate(request: EdgeRequest, stored: StoredResponse): void {
    if (this.#fetching.find(request.target) !== undefined) return;
    const flight = this.#fetching.start(request, stored);
    void flight?.outcome.then((outcome) => {
      if (outcome.kind === "pass") outcome.response.discard();
      if (outcome.kind === "failed") this.#options.events.upstreamFailed(outcome.failure);
    });
  }

  /** Past the store; an unsafe method that succeeds makes stored responses invalid (RFC 9111 section 4.4). */
  async #forward(exchange: Exchange, status: string): Promise<CacheOutcome> {
    const { request, incoming } = exchange;
    const { method, target } = request;
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
      for (const invalid of new Set([target, ...paths])) if (invalid !== undefined) this.#fetching.invalidate(invalid);
    }
    const answer = { ...response, cacheStatus: `${status}; fwd-status=${response.status}`, body: () => response.body };
    await this.#send(exchange, answer, () => response.discard());
    return "bypass";
  }

  async #serve(exchange: Exchange, stored: StoredResponse, cacheStatus: string): Promise<void> {
    const ageSeconds = currentAgeSeconds(stored.freshness, this.#options.clock.nowMs());
    const fields = new Map([...stored.fields]);
    if (stored.status !== 204) fields.set("content-length", [String(stored.body.byteLength)]);
    await this.#send(exchange, { ...stored, fields, ageSeconds, cacheStatus, body: () => [stored.body] });
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

function isShared(outcome: FlightOutcome, request: EdgeRequest): boolean {
  if (outcome.kind === "failed") return true;
  if (outcome.kind === "pass") return false;
  const { varyNames, variant } = outcome.kind === "validated" ? outcome.stored : outcome.response;
  if (outcome.kind === "arriving" && !outcome.response.filling.isJoinable) return false;
  return variantKey(varyNames, request.fields) === variant;
}
