/** Passes requests on past the store; their answers may still change what is stored (RFC 9111 sections 4.3.5 and 4.4). */
import { fieldValue } from "#domain/http/fields.ts";
import type { ResolvedRange } from "#domain/http/range.ts";
import { currentAgeSeconds } from "../caching/lookup.ts";
import { hasExplicitFreshness } from "../caching/storage.ts";
import type { CacheOutcome } from "../events.ts";
import { cacheKeyOf, type StoredResponse } from "../store/stored-response.ts";
import type { UpstreamResponse } from "../upstream/upstream-client.ts";
import { type EdgeRequest, forwardedFields, isSafe } from "./edge-request.ts";
import type { Exchange } from "./exchange.ts";
import { type Arriving, type Fetching, type FetchingOptions, headOf } from "./fetching.ts";
import { Filling } from "./filling.ts";
import { interimTo, partOf, sendAnswer } from "./sending.ts";

export class Forwarding {
  readonly #options: FetchingOptions;
  readonly #fetching: Fetching;

  constructor(options: FetchingOptions, fetching: Fetching) {
    this.#options = options;
    this.#fetching = fetching;
  }

  /** `stored` is what a HEAD may freshen. Throws what the upstream fails with. */
  async forward(exchange: Exchange, status: string, stored?: StoredResponse): Promise<CacheOutcome> {
    const { request, incoming } = exchange;
    const hasContent =
      incoming.headers["content-length"] !== undefined || incoming.headers["transfer-encoding"] !== undefined;
    // RFC 9110 section 9.3.1: an upstream that ignores the content of a GET would take it for a request.
    const isContentSent = hasContent && request.method !== "GET" && request.method !== "HEAD";
    // What a HEAD says may change what is stored for all: it is asked as a GET for all would be.
    const mayFreshen = request.method === "HEAD" && stored !== undefined;
    using tracked = mayFreshen ? this.#fetching.track(request) : undefined;
    const response = await this.#options.upstream.fetch({
      method: request.method,
      target: request.target,
      fields: mayFreshen
        ? forwardedFields(request, "whole")
        : forwardedFields(request, "as-asked", addressOf(incoming.socket.remoteAddress)),
      onInterim: interimTo(exchange.response, incoming.httpVersionMinor),
      ...(isContentSent ? { body: incoming } : {}),
      ...(request.askedBy === undefined ? {} : { askedBy: request.askedBy }),
    });
    if (!isSafe(request)) this.#invalidate(request, response);
    const { settling } = this.#options.store;
    // Who has this answer, and asks again, gets no copy from before it.
    if (!isSafe(request) && settling !== undefined) await settling;
    if (mayFreshen && tracked?.flight.mayStore === true) this.#freshen(request, stored, response);
    const arriving = this.#forLaterGets(request, response);
    const cacheStatus = `${status}; fwd-status=${response.status}${arriving === undefined ? "" : "; stored"}`;
    await this.#send(exchange, response, cacheStatus, arriving);
    return "bypass";
  }

  async #send(
    { request, response: to }: Exchange,
    response: UpstreamResponse,
    cacheStatus: string,
    arriving: Arriving | undefined,
  ): Promise<void> {
    const nowMs = this.#options.clock.nowMs();
    if (arriving !== undefined) {
      const ageSeconds = currentAgeSeconds(arriving.freshness, nowMs);
      const body = (range?: ResolvedRange) => partOf(arriving.filling.read(), range);
      return await sendAnswer(request, { ...response, ageSeconds, cacheStatus, body }, to, nowMs);
    }
    try {
      const body = (range?: ResolvedRange) => partOf(response.body, range);
      await sendAnswer(request, { ...response, cacheStatus, body }, to, nowMs);
    } finally {
      response.discard();
    }
  }

  /** An unsafe method that succeeds makes stored responses invalid, those included that its answer names. */
  #invalidate(request: EdgeRequest, response: UpstreamResponse): void {
    if (response.status < 200 || response.status >= 400) return;
    this.#fetching.invalidate(request);
    for (const name of ["location", "content-location"]) {
      const target = targetNamed(request, fieldValue(response.fields, name));
      if (target !== undefined) this.#fetching.invalidate({ webOrigin: request.webOrigin, target });
    }
  }

  /** What a HEAD says of the stored response of a GET: another head for it, or that it is another representation. */
  #freshen(request: EdgeRequest, stored: StoredResponse, response: UpstreamResponse): void {
    if (response.status !== 200 || stored.status !== 200) return;
    const length = fieldValue(response.fields, "content-length");
    const validators = ["etag", "last-modified"].filter((name) => response.fields.has(name));
    const isOther =
      validators.some((name) => fieldValue(response.fields, name) !== fieldValue(stored.fields, name)) ||
      (length !== undefined && Number(length) !== stored.body.byteLength);
    if (isOther) {
      this.#options.store.remove(cacheKeyOf(stored));
      return;
    }
    const updated = validators.length === 0 ? undefined : this.#fetching.refresh(request, stored, response);
    if (updated !== undefined && updated.variant === stored.variant) this.#options.store.update(updated);
  }

  /** RFC 9110 section 9.3.3: a POST's answer with explicit freshness that names the target as where its content is. */
  #forLaterGets(request: EdgeRequest, response: UpstreamResponse): Arriving | undefined {
    const { method, target } = request;
    if (method !== "POST" || response.status !== 200 || !hasExplicitFreshness(response.fields)) return undefined;
    if (targetNamed(request, fieldValue(response.fields, "content-location")) !== target) return undefined;
    const decision = this.#fetching.decideStorage(request, response);
    if (decision.kind === "pass") return undefined;
    const arriving = { ...headOf(this.#options.site, request, response, decision), filling: new Filling() };
    const tracked = this.#fetching.track(request);
    void this.#fetching.fill(arriving, response, tracked.flight).finally(() => tracked[Symbol.dispose]());
    return arriving;
  }
}

/** Path and query of a reference, where it is one under the request's own scheme and host. */
function targetNamed({ webOrigin, target }: EdgeRequest, reference: string | undefined): string | undefined {
  if (reference === undefined || !URL.canParse(reference, webOrigin + target)) return undefined;
  const url = new URL(reference, webOrigin + target);
  return url.origin === webOrigin ? url.pathname + url.search : undefined;
}

/** IPv4 as such where a socket has it mapped into IPv6. */
function addressOf(remote: string | undefined): string | undefined {
  return remote?.replace(/^::ffff:(?=\d+\.)/, "");
}
