/** Fetches what the store lacks, once per target and slice at a time: later requests join the flight (collapsed requests). */
import type { CacheRule } from "#domain/content/site.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { type Fields, fieldValue } from "#domain/http/fields.ts";
import type { Clock } from "#platform/clock.ts";
import { decideOnFailure, type StaleBounds, type UpstreamFailing } from "../caching/lookup.ts";
import { ruleFor } from "../caching/rules.ts";
import { hasSliceValidator, isSlice, parseContentRange, rangeFieldOf } from "../caching/slices.ts";
import { decideStorage, type ResponseFacts, type StorageDecision } from "../caching/storage.ts";
import { variantKey, varyNames } from "../caching/variants.ts";
import type { Compressor } from "../compression/compressor.ts";
import type { EdgeEvents } from "../events.ts";
import type { ResponseStore } from "../store/response-store.ts";
import { cacheKeyOf, type ResponseHead, type StoredResponse } from "../store/stored-response.ts";
import type { UpstreamRequest, UpstreamResponse } from "../upstream/upstream-client.ts";
import { type EdgeRequest, forwardedFields } from "./edge-request.ts";
import { Filling } from "./filling.ts";

/** Beyond this many targets at once a request goes on its own. */
export const FLIGHTS_MAX = 4096;

/** Whoever is asked for what is not stored: an upstream, or other caches before it. */
export interface Upstream {
  /** Throws a `Failure` where there is no response. */
  fetch(request: UpstreamRequest): Promise<UpstreamResponse>;
  /** Whether the last that was heard of it is that nobody answers, for this target at least. */
  isSuspect(target: string): boolean;
  /** Whether it should be asked although it is suspect: once each interval. */
  takeProbe(): boolean;
  /** It has let somebody wait for longer than they could. */
  suspect(target: string): void;
}

/** A response that is being stored while it is read. */
export type Arriving = ResponseHead & { readonly filling: Filling };

export type FlightOutcome =
  /** `received` are the fields for the request that started the flight: what is stored may have fewer. */
  | { readonly kind: "arriving"; readonly response: Arriving; readonly received: Fields }
  | { readonly kind: "validated"; readonly stored: StoredResponse }
  /** Not to be shared: for the request that started the flight only. */
  | { readonly kind: "pass"; readonly response: UpstreamResponse; readonly because: PassReason }
  | { readonly kind: "failed"; readonly failure: Failure };

/** Why a response is not shared; the last three are of this request or this moment, and say nothing of the next ones. */
export type PassReason =
  | Extract<StorageDecision, { kind: "pass" }>["because"]
  | "too-large"
  | "not-the-slice"
  | "error-over-good";

export interface Flight {
  readonly outcome: Promise<FlightOutcome>;
  /** False once an unsafe method has made its answer old. */
  mayStore: boolean;
}

export interface FetchingOptions {
  readonly upstream: Upstream;
  readonly store: ResponseStore;
  /** What its responses are stored under. */
  readonly site: string;
  readonly clock: Clock;
  readonly events: EdgeEvents;
  readonly rules?: readonly CacheRule[];
  /** How stale a response may be served when the upstream fails, as of now; without it only as responses allow. */
  readonly staleBounds?: () => StaleBounds;
  /** Without it nothing is compressed here. */
  readonly compressor?: Compressor | undefined;
}

/** What a flight is for beside the target. */
export interface FlightOptions {
  /** Validated where it can be. */
  readonly stored?: StoredResponse | undefined;
  readonly slice?: number | undefined;
  readonly onInterim?: UpstreamRequest["onInterim"];
}

type Named = Pick<EdgeRequest, "webOrigin" | "target">;

export class Fetching {
  readonly #options: FetchingOptions;
  readonly #flights = new Map<string, Flight>();
  #tracked = 0;

  constructor(options: FetchingOptions) {
    this.#options = options;
  }

  keyOf({ webOrigin, target }: Named): string {
    return cacheKeyOf({ site: this.#options.site, webOrigin, key: target });
  }

  find(request: Named, slice?: number): Flight | undefined {
    return this.#flights.get(this.#flightOf(request, slice));
  }

  /** `undefined` where `FLIGHTS_MAX` are under way. */
  start(request: EdgeRequest, options: FlightOptions = {}): Flight | undefined {
    if (this.#flights.size >= FLIGHTS_MAX) return undefined;
    const head = Promise.withResolvers<FlightOutcome>();
    const flight: Flight = { outcome: head.promise, mayStore: true };
    const name = this.#flightOf(request, options.slice);
    const land = () => {
      for (const own of [name, this.keyOf(request)]) if (this.#flights.get(own) === flight) this.#flights.delete(own);
    };
    this.#flights.set(name, flight);
    void this.#fly(request, options, flight, (outcome) => {
      if (outcome.kind !== "arriving") land();
      head.resolve(outcome);
    })
      .catch((error: unknown) => {
        // First: who waited for it may start another.
        land();
        head.resolve({ kind: "failed", failure: asFailure(error) });
      })
      .finally(land);
    return flight;
  }

  /** Something else that may store an answer for the target: told by `mayStore` when that has become old. */
  track(request: Named): { readonly flight: { mayStore: boolean } } & Disposable {
    const flight: Flight = { outcome: NEVER, mayStore: true };
    this.#tracked += 1;
    const name = `${this.keyOf(request)} tracked-${this.#tracked}`;
    this.#flights.set(name, flight);
    return { flight, [Symbol.dispose]: () => void this.#flights.delete(name) };
  }

  /** RFC 9111 section 4.4. */
  invalidate(named: Named): void {
    const key = this.keyOf(named);
    for (const [name, flight] of this.#flights) {
      if (name !== key && !name.startsWith(`${key} `)) continue;
      flight.mayStore = false;
      this.#flights.delete(name);
    }
    this.#options.store.remove(key);
  }

  /** Each goes on for those who wait for it, and is stored if it may be. */
  leaveFlights(): void {
    this.#flights.clear();
  }

  /** Whether the stored response may be served where the upstream fails so. */
  onFailure(stored: StoredResponse, failing: UpstreamFailing): ReturnType<typeof decideOnFailure> {
    const bounds = this.#options.staleBounds?.() ?? {};
    return decideOnFailure(stored.freshness, failing, bounds, this.#options.clock.nowMs());
  }

  decideStorage(request: EdgeRequest, facts: ResponseFacts): StorageDecision {
    const rule = ruleFor(this.#options.rules ?? [], request.target);
    return decideStorage({ method: "GET", fields: request.fields }, facts, rule);
  }

  /** RFC 9111 section 3.2: the fields of a response without content take the place of those stored. */
  refresh(request: EdgeRequest, stored: StoredResponse, response: UpstreamResponse): StoredResponse | undefined {
    const kept = [...stored.fields].filter(([name]) => name !== "age");
    const news = [...response.fields].filter(([name]) => !KEPT_AT_VALIDATION.has(name));
    const { requestedAtMs, receivedAtMs } = response;
    const facts = { status: stored.status, fields: new Map([...kept, ...news]), requestedAtMs, receivedAtMs };
    const decision = this.decideStorage(request, facts);
    if (decision.kind === "pass") return undefined;
    const names = varyNames(decision.fields);
    // Negotiated by other fields than was known: it is for those who ask as this request does.
    const isAsBefore = names.join() === stored.varyNames.join();
    const variant = isAsBefore ? stored.variant : variantKey(names, request.fields);
    const { fields, freshness } = decision;
    return { ...stored, varyNames: names, variant, fields, freshness, requestedAtMs: askedAtMsOf(response) };
  }

  /** What is stored goes on to arrive when its readers have left. */
  async fill({ filling, ...head }: Arriving, response: UpstreamResponse, flight: Pick<Flight, "mayStore">) {
    const { store, events } = this.#options;
    const storing = store.begin(head, () => flight.mayStore);
    filling.spillTo(storing);
    let bytes = 0;
    try {
      for await (const chunk of response.body) {
        bytes += chunk.byteLength;
        storing.write(chunk);
        const isRead = await filling.push(chunk);
        if (!isRead && bytes > store.bodyBytesMax) break;
      }
      const part = head.slice === undefined ? undefined : parseContentRange(head.fields);
      if (part !== undefined && bytes !== part.last - part.start + 1)
        throw new Failure("upstream-malformed", `${head.key}: a part of ${bytes} bytes is not what Content-Range says`);
    } catch (error) {
      const failure = asFailure(error);
      events.upstreamFailed(failure);
      events.fillFailed(failure);
      filling.fail(failure);
      return await storing.abandon();
    }
    filling.finish();
    await storing.finish();
  }

  async #fly(
    request: EdgeRequest,
    { stored, slice, onInterim }: FlightOptions,
    flight: Flight,
    resolve: (outcome: FlightOutcome) => void,
  ): Promise<void> {
    const fields = withValidators(forwardedFields(request, "whole"), stored);
    if (slice !== undefined) fields.set("range", [rangeFieldOf(slice)]);
    const { target, askedBy } = request;
    const more = { ...(onInterim === undefined ? {} : { onInterim }), ...(askedBy === undefined ? {} : { askedBy }) };
    const asked = { method: "GET", target, fields, ...more };
    const response = await this.#options.upstream.fetch(asked);
    if (
      stored !== undefined &&
      response.status >= 500 &&
      this.onFailure(stored, "server-error").kind === "serve-stale"
    ) {
      response.discard();
      throw serverErrorOf(request, response.status);
    }
    if (stored !== undefined && response.status === 304) {
      response.discard();
      return resolve({ kind: "validated", stored: this.#validate(request, stored, response, flight) });
    }
    // Nothing was asked to be validated: the upstream answers a question of its own.
    if (response.status === 304) {
      response.discard();
      throw new Failure("upstream-malformed", `${request.target}: 304 without a condition`);
    }
    const arriving = isErrorOverGood(stored, response) ? "error-over-good" : this.#arrivingOf(request, response, slice);
    if (typeof arriving === "string") return resolve({ kind: "pass", response, because: arriving });
    if (slice !== undefined && arriving.slice === undefined) {
      const whole = await this.#wholeElsewhere(request, flight);
      if (whole !== undefined) {
        response.discard();
        return resolve(whole);
      }
    }
    resolve({ kind: "arriving", response: arriving, received: response.fields });
    await this.fill(arriving, response, flight);
    this.#encode(request, arriving);
  }

  /** An upstream that answers a part with the whole is read once: where no flight has the whole, this one becomes it. */
  async #wholeElsewhere(request: EdgeRequest, flight: Flight): Promise<FlightOutcome | undefined> {
    const other = this.find(request);
    if (other === undefined) this.#flights.set(this.#flightOf(request, undefined), flight);
    const outcome = await other?.outcome;
    return outcome?.kind === "arriving" ? outcome : undefined;
  }

  /** For the next one who asks as this one did. */
  #encode(request: EdgeRequest, head: ResponseHead): void {
    const { compressor, store } = this.#options;
    const stored = compressor && store.findInMemory(cacheKeyOf(head), request.fields, head.slice);
    if (stored !== undefined) void compressor?.select(stored, request.fields);
  }

  #validate(request: EdgeRequest, stored: StoredResponse, response: UpstreamResponse, flight: Flight): StoredResponse {
    const updated = this.refresh(request, stored, response);
    if (updated === undefined || updated.variant !== stored.variant) this.#options.store.remove(cacheKeyOf(stored));
    if (updated !== undefined && flight.mayStore) this.#options.store.update(updated);
    return updated ?? stored;
  }

  /** Why not, for what is not stored. */
  #arrivingOf(request: EdgeRequest, response: UpstreamResponse, slice: number | undefined): Arriving | PassReason {
    const part = response.status === 206 ? parseContentRange(response.fields) : undefined;
    const isWantedSlice =
      slice !== undefined && part !== undefined && isSlice(part, slice) && hasSliceValidator(response.fields);
    // Of a part that was asked for nothing else says what the whole is.
    if (slice !== undefined && !isWantedSlice && response.status !== 200) return "not-the-slice";
    const status = isWantedSlice ? 200 : response.status;
    const decision = this.decideStorage(request, { ...response, status });
    if (decision.kind === "pass") return decision.because;
    const length = lengthOf(response.fields);
    if (length !== undefined && length > this.#options.store.bodyBytesMax) return "too-large";
    const head = headOf(this.#options.site, request, { ...response, status }, decision);
    return { ...head, ...(isWantedSlice ? { slice } : {}), filling: new Filling() };
  }

  #flightOf(request: Named, slice: number | undefined): string {
    const key = this.keyOf(request);
    return slice === undefined ? key : `${key} ${slice}`;
  }
}

/** How the upstream failed, where it did not send the response that it was asked for. */
export function failingOf(failure: Failure): UpstreamFailing {
  return failure.detail["status"] === undefined ? "disconnected" : "server-error";
}

const NEVER = new Promise<never>(() => undefined);

/** They describe the content that was sent, which a response without content has none of, and what was validated. */
const KEPT_AT_VALIDATION = new Set([
  "content-encoding",
  "content-length",
  "content-md5",
  "content-range",
  "etag",
  "transfer-encoding",
]);

/** An error of the upstream never takes the place of a good response. */
function isErrorOverGood(stored: StoredResponse | undefined, response: UpstreamResponse): boolean {
  return stored !== undefined && stored.status < 400 && response.status >= 500;
}

function serverErrorOf(request: EdgeRequest, status: number): Failure {
  const words = `upstream answered ${status} for ${request.target}`;
  return new Failure("unavailable", words, { retryable: true, detail: { status } });
}

function asFailure(error: unknown): Failure {
  if (isFailure(error)) return error;
  throw error;
}

function lengthOf(fields: Fields): number | undefined {
  const text = fieldValue(fields, "content-length");
  return text === undefined ? undefined : Number(text);
}

function withValidators(
  fields: Map<string, readonly string[]>,
  stored: StoredResponse | undefined,
): Map<string, readonly string[]> {
  const tag = stored?.fields.get("etag");
  const modified = stored?.fields.get("last-modified");
  if (tag !== undefined) fields.set("if-none-match", tag);
  if (modified !== undefined) fields.set("if-modified-since", modified);
  return fields;
}

/** As a response to a GET of the request's target is stored. */
export function headOf(
  site: string,
  request: EdgeRequest,
  response: UpstreamResponse,
  { fields, freshness }: Extract<StorageDecision, { kind: "store" }>,
): ResponseHead {
  const names = varyNames(fields);
  return {
    site,
    webOrigin: request.webOrigin,
    key: request.target,
    varyNames: names,
    variant: variantKey(names, request.fields),
    status: response.status,
    fields,
    freshness,
    requestedAtMs: askedAtMsOf(response),
  };
}

function askedAtMsOf({ askedAtMs, requestedAtMs }: UpstreamResponse): number {
  return askedAtMs ?? requestedAtMs;
}
