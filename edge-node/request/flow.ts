/** The life of a request: key, look up, decide, then serve, or collapse and fetch, and record. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { assert } from "#domain/assert.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { fieldsOf } from "#domain/http/fields.ts";
import type { ResolvedRange } from "#domain/http/range.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";
import { currentAgeSeconds, decideLookup, type LookupDecision } from "../caching/lookup.ts";
import { ruleFor } from "../caching/rules.ts";
import { variantKey } from "../caching/variants.ts";
import type { CacheOutcome } from "../events.ts";
import type { StoredResponse } from "../store/stored-response.ts";
import { type EdgeRequest, type Reading, readRequest } from "./edge-request.ts";
import type { Exchange } from "./exchange.ts";
import {
  Fetching,
  type FetchingOptions,
  type Flight,
  type FlightOutcome,
  failingOf,
  type PassReason,
} from "./fetching.ts";
import { Forwarding } from "./forwarding.ts";
import type { PeerAsker } from "./peer-asker.ts";
import { type Answer, interimTo, partOf, sendAnswer, sendFailure } from "./sending.ts";
import { sendFromMemory } from "./sending-hits.ts";
import { firstSliceOf, SliceServing } from "./slice-serving.ts";

/** Where stale may be served, an upstream that does not answer is not waited for longer. */
const STALE_WAIT_MS = 2_000;
/** What was not stored is not waited for by others for this long (hit-for-miss): each asks on its own. */
export const UNCACHEABLE_MS = 30_000;
export const UNCACHEABLE_TARGETS_MAX = 10_000;

export interface RequestFlowOptions extends FetchingOptions {
  /** Under which web origin a request is keyed and passed on; as it was asked where it is not there. */
  readonly webOriginOf?: (asked: string) => string;
}

export class RequestFlow {
  readonly #options: RequestFlowOptions;
  readonly #fetching: Fetching;
  readonly #forwarding: Forwarding;
  readonly #slices: SliceServing;
  readonly #uncacheable: BoundedMap<string, true>;
  /** Of which an upstream gives no slices that can be stored: a range is asked for as it is, or the whole fetched. */
  readonly #unsliced: BoundedMap<string, "forward" | "whole">;

  constructor(options: RequestFlowOptions) {
    const { clock } = options;
    this.#options = options;
    this.#fetching = new Fetching(options);
    this.#forwarding = new Forwarding(options, this.#fetching);
    this.#slices = new SliceServing(options, this.#fetching);
    const bounds = { entriesMax: UNCACHEABLE_TARGETS_MAX, lifetime: { ms: UNCACHEABLE_MS, clock } };
    this.#uncacheable = new BoundedMap(bounds);
    this.#unsliced = new BoundedMap(bounds);
  }

  /** `asker` for a request of another edge. */
  /** Resolves to how it was answered. */
  async handle(incoming: IncomingMessage, response: ServerResponse, asker?: PeerAsker): Promise<CacheOutcome> {
    const { clock, events } = this.#options;
    const startedMs = clock.monotonicMs();
    const { method = "GET", url = "" } = incoming;
    const scheme = asker?.scheme ?? ("encrypted" in incoming.socket ? "https" : "http");
    const reading = readRequest(scheme, method, url, fieldsOf(incoming.rawHeaders));
    let outcome: CacheOutcome = "failed";
    try {
      outcome = await this.#handle(reading, incoming, response, asker);
    } catch (error) {
      if (!isFailure(error)) throw error;
      events.upstreamFailed(error);
      if (response.headersSent) response.destroy();
      else sendFailure(response, error, "fwd=bypass");
    }
    events.served({ method, target: url }, outcome, response.statusCode, (clock.monotonicMs() - startedMs) / 1000);
    return outcome;
  }

  async #handle(
    reading: Reading,
    incoming: IncomingMessage,
    response: ServerResponse,
    asker: PeerAsker | undefined,
  ): Promise<CacheOutcome> {
    if (reading.kind === "refused") {
      const { why, status } = reading;
      sendFailure(response, new Failure("argument-invalid", why), "detail=refused", status);
      return "refused";
    }
    const webOrigin = this.#options.webOriginOf?.(reading.request.webOrigin) ?? reading.request.webOrigin;
    const askedBy = asker === undefined ? {} : { askedBy: asker.askedBy };
    const request = { ...reading.request, webOrigin, ...askedBy };
    this.#refuseWhenDenied();
    const exchange = { request, incoming, response };
    const isStored = request.isCacheable && ruleFor(this.#options.rules ?? [], request.target).bypass !== true;
    return isStored ? await this.#answer(exchange) : await this.#forwarding.forward(exchange, "fwd=bypass");
  }

  /** What is under way may be from before a purge: nobody joins it any more. */
  purged(): void {
    this.#fetching.leaveFlights();
  }

  /** The policy's word on content while cut off: not at all once it has been too long. */
  #refuseWhenDenied(): void {
    const { cutOffSeconds = 0, denyAfterSeconds = Number.POSITIVE_INFINITY } = this.#options.staleBounds?.() ?? {};
    if (cutOffSeconds <= denyAfterSeconds) return;
    throw new Failure("unavailable", `not served after ${denyAfterSeconds} s without the cloud`, { retryable: true });
  }

  async #answer(exchange: Exchange): Promise<CacheOutcome> {
    const { request, response } = exchange;
    const { store, clock } = this.#options;
    const key = this.#fetching.keyOf(request);
    const found = store.find(key, request.fields);
    const stored = found instanceof Promise ? await found : found;
    const isFromDisk = found instanceof Promise || !(stored?.body instanceof Uint8Array);
    if (stored !== undefined) this.#options.events.found(isFromDisk ? "disk" : "memory");
    const missing = () => (store.has(key) ? "vary-miss" : "uri-miss");
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
        return await this.#miss(exchange, stored, decision.because);
    }
  }

  async #miss(exchange: Exchange, stored: StoredResponse | undefined, because: Because): Promise<CacheOutcome> {
    const { request } = exchange;
    const key = this.#fetching.keyOf(request);
    const slice = stored === undefined ? firstSliceOf(request) : undefined;
    const way = slice === undefined ? "whole" : this.#wayOfRange(request, key);
    const isAlone = request.method === "HEAD" || (stored === undefined && this.#uncacheable.has(key));
    if (isAlone || way === "forward") return await this.#forwarding.forward(exchange, `fwd=${because}`, stored);
    return slice === undefined || way === "whole"
      ? await this.#fetch(exchange, stored, because)
      : await this.#serveSlices(exchange, slice, because);
  }

  /** What an authorised request gets is seldom for others: it is not asked for more than it wants. */
  #wayOfRange(request: EdgeRequest, key: string): "forward" | "whole" | "slices" {
    return request.fields.has("authorization") ? "forward" : (this.#unsliced.get(key) ?? "slices");
  }

  /** Joins the flight for the target or starts it; what turns out not to be shared goes on its own. */
  async #fetch(
    exchange: Exchange,
    stored: StoredResponse | undefined,
    because: Because,
    isAgain = false,
  ): Promise<CacheOutcome> {
    const { request } = exchange;
    const mayBeStale = stored !== undefined && this.#fetching.onFailure(stored, "disconnected").kind === "serve-stale";
    if (mayBeStale && this.#options.upstream.isSuspect(request.target))
      return await this.#serveWithoutWaiting(exchange, stored);
    const joined = this.#fetching.find(request);
    const onInterim = interimTo(exchange.response, exchange.incoming.httpVersionMinor);
    const flight = joined ?? this.#fetching.start(request, { stored, onInterim });
    if (flight === undefined) return await this.#forwarding.forward(exchange, `fwd=${because}`);
    const outcome = await (mayBeStale ? this.#outcomeInTime(request, flight, joined === undefined) : flight.outcome);
    const status = `fwd=${because}${joined === undefined ? "" : "; collapsed"}`;
    if (joined !== undefined && !isShared(outcome, request))
      return await this.#forwarding.forward(exchange, `fwd=${because}`);
    switch (outcome.kind) {
      case "failed":
        // It may be the leader's own fields that the upstream broke off for: one of those who waited leads again.
        if (joined !== undefined && !isAgain && outcome.failure.code === "upstream-truncated")
          return await this.#fetch(exchange, stored, because, true);
        return await this.#onFailure(exchange, stored, outcome.failure, status);
      case "validated":
        await this.#serve(exchange, outcome.stored, `${status}; fwd-status=304; stored`);
        return "validated";
      case "pass":
        await this.#pass(exchange, outcome, status);
        return OUTCOMES[because];
      case "arriving": {
        const { filling, ...head } = outcome.response;
        const body = (range?: ResolvedRange) => partOf(filling.read(), range);
        const received = joined === undefined ? outcome.received : head.fields;
        const fields = this.#options.compressor?.announced({ ...head, fields: received }) ?? received;
        const answer = { ...head, fields, ...this.#ageOf(head), cacheStatus: `${status}; stored`, body };
        await this.#send(exchange, { ...answer, isArriving: true });
        return joined === undefined ? OUTCOMES[because] : "collapsed";
      }
    }
  }

  async #serveSlices(exchange: Exchange, first: number, because: Because): Promise<CacheOutcome> {
    const { request, response, incoming } = exchange;
    const onInterim = interimTo(response, incoming.httpVersionMinor);
    const fwd = `fwd=${because}`;
    const key = this.#fetching.keyOf(request);
    const found = await this.#slices.answer(request, first, fwd, onInterim);
    switch (found.kind) {
      case "answer":
        if (found.answer.isArriving === true) this.#unsliced.set(key, "whole");
        await this.#send(exchange, found.answer);
        return found.isHit ? "hit" : OUTCOMES[because];
      case "pass":
        await this.#pass(exchange, found, fwd);
        return OUTCOMES[because];
      case "forward":
        if (found.because !== undefined) this.#unsliced.set(key, "forward");
        return await this.#forwarding.forward(exchange, fwd);
      case "failed":
        return await this.#onFailure(exchange, undefined, found.failure, fwd);
    }
  }

  /** What is not shared, for what it is: the next ones do not wait for each other. */
  async #pass(exchange: Exchange, { response, because }: Passed, status: string): Promise<void> {
    const isAlwaysSo = ALWAYS_UNSHARED.has(because) && response.status < 400;
    if (isAlwaysSo) this.#uncacheable.set(this.#fetching.keyOf(exchange.request), true);
    const body = (range?: ResolvedRange) => partOf(response.body, range);
    const cacheStatus = `${status}; fwd-status=${response.status}`;
    try {
      await this.#send(exchange, { ...response, cacheStatus, body });
    } finally {
      response.discard();
    }
  }

  async #onFailure(
    exchange: Exchange,
    stored: StoredResponse | undefined,
    failure: Failure,
    status: string,
  ): Promise<CacheOutcome> {
    const decision = stored && this.#fetching.onFailure(stored, failingOf(failure));
    this.#options.events.upstreamFailed(failure);
    if (stored !== undefined && decision?.kind === "serve-stale") {
      await this.#serve(exchange, stored, `${status}; detail=${decision.because}`);
      return "stale";
    }
    sendFailure(exchange.response, failure, status);
    return "failed";
  }

  /** While nobody answers, stale is served at once; now and then one of those who get it has the upstream asked. */
  async #serveWithoutWaiting(exchange: Exchange, stored: StoredResponse): Promise<CacheOutcome> {
    this.#revalidate(exchange.request, stored);
    await this.#serve(exchange, stored, `hit; ttl=${this.#freshForSeconds(stored)}; detail=disconnected`);
    return "stale";
  }

  /** A flight that takes too long goes on; whoever can have stale does not wait for it. */
  async #outcomeInTime({ target }: EdgeRequest, flight: Flight, isOwn: boolean): Promise<FlightOutcome> {
    const late = Promise.withResolvers<FlightOutcome>();
    using _timer = this.#options.clock.timer(STALE_WAIT_MS, () => {
      this.#options.upstream.suspect(target);
      const failure = new Failure("upstream-timeout", `no answer in ${STALE_WAIT_MS} ms`, { retryable: true });
      late.resolve({ kind: "failed", failure });
      if (isOwn) void flight.outcome.then(discardUnshared);
    });
    return await Promise.race([flight.outcome, late.promise]);
  }

  /** In the background, once per target; its failure leaves what is stored. */
  #revalidate(request: EdgeRequest, stored: StoredResponse): void {
    const { upstream, events } = this.#options;
    if (this.#fetching.find(request) !== undefined || (upstream.isSuspect(request.target) && !upstream.takeProbe()))
      return;
    const flight = this.#fetching.start(request, { stored });
    void flight?.outcome.then((outcome) => {
      discardUnshared(outcome);
      if (outcome.kind === "failed") events.upstreamFailed(outcome.failure);
    });
  }

  async #serve(exchange: Exchange, found: StoredResponse, cacheStatus: string): Promise<void> {
    const selected = this.#options.compressor?.select(found, exchange.request.fields) ?? found;
    const stored = selected instanceof Promise ? await selected : selected;
    const { body } = stored;
    const { ageSeconds } = this.#ageOf(stored);
    const own = { cacheStatus: `Perigee; ${cacheStatus}`, ageSeconds };
    const nowMs = this.#options.clock.nowMs();
    if (body instanceof Uint8Array && sendFromMemory(exchange, { stored, body, own }, nowMs)) return;
    const fields = new Map([...stored.fields]);
    if (stored.status !== 204) fields.set("content-length", [String(body.byteLength)]);
    const answer = { ...stored, fields, ageSeconds, cacheStatus };
    if (body instanceof Uint8Array) {
      const part = (range?: ResolvedRange) => [range === undefined ? body : body.subarray(range.start, range.end + 1)];
      return await this.#send(exchange, { ...answer, body: part });
    }
    await this.#serveFile(exchange, stored, answer);
  }

  /** A file that is gone is a miss; one that turns out damaged has been counted and dropped, and no wrong byte was sent. */
  async #serveFile(exchange: Exchange, stored: StoredResponse, answer: Omit<Answer, "body">): Promise<void> {
    if (stored.body instanceof Uint8Array) return;
    await using open = await stored.body.open();
    if (open === undefined) return void (await this.#forwarding.forward(exchange, "fwd=uri-miss"));
    const last = stored.body.byteLength - 1;
    try {
      await this.#send(exchange, { ...answer, body: (range) => open.read(range?.start ?? 0, range?.end ?? last) });
    } catch (error) {
      if (!isFailure(error)) throw error;
    }
  }

  async #send({ request, response }: Exchange, answer: Answer): Promise<void> {
    await sendAnswer(request, answer, response, this.#options.clock.nowMs());
  }

  #ageOf({ freshness }: Pick<StoredResponse, "freshness">): { readonly ageSeconds: number } {
    return { ageSeconds: currentAgeSeconds(freshness, this.#options.clock.nowMs()) };
  }

  #freshForSeconds(stored: StoredResponse): number {
    return Math.floor(stored.freshness.lifetimeSeconds - this.#ageOf(stored).ageSeconds);
  }
}

/** Why the upstream is asked. */
type Because = Extract<LookupDecision, { kind: "forward" | "validate" }>["because"];
type Passed = Pick<Extract<FlightOutcome, { kind: "pass" }>, "response" | "because">;

/** They are of the response, whoever asks. */
const ALWAYS_UNSHARED: ReadonlySet<PassReason> = new Set([
  "no-freshness",
  "no-store",
  "private",
  "rule",
  "set-cookie",
  "too-large",
  "vary",
]);

/** What became of it where the upstream answered with a response of its own. */
const OUTCOMES: Readonly<Record<Because, CacheOutcome>> = {
  "uri-miss": "uri-miss",
  "vary-miss": "vary-miss",
  stale: "replaced",
  request: "replaced",
};

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
