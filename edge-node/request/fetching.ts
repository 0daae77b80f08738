/** Fetches what the store lacks, once per target at a time: later requests join the flight (collapsed requests). */

import type { CacheRule } from "#domain/content/site.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { type Fields, fieldValue } from "#domain/http/fields.ts";
import type { Clock } from "#platform/clock.ts";
import { decideOnFailure, type StaleBounds } from "../caching/lookup.ts";
import { ruleFor } from "../caching/rules.ts";
import { decideStorage, type Freshness, type ResponseFacts, type StorageDecision } from "../caching/storage.ts";
import { variantKey, varyNames } from "../caching/variants.ts";
import type { EdgeEvents } from "../events.ts";
import type { ResponseStore } from "../store/response-store.ts";
import { cacheKeyOf, type ResponseHead, type StoredResponse } from "../store/stored-response.ts";
import type { UpstreamClient, UpstreamResponse } from "../upstream/upstream-client.ts";
import { type EdgeRequest, forwardedFields } from "./edge-request.ts";
import { Filling } from "./filling.ts";

/** Beyond this many targets at once a request goes on its own. */
export const FLIGHTS_MAX = 4096;

/** A response that is being stored while it is read. */
export type Arriving = ResponseHead & { readonly filling: Filling };

export type FlightOutcome =
  | { readonly kind: "arriving"; readonly response: Arriving }
  | { readonly kind: "validated"; readonly stored: StoredResponse }
  /** Not to be shared: for the request that started the flight only. */
  | { readonly kind: "pass"; readonly response: UpstreamResponse }
  | { readonly kind: "failed"; readonly failure: Failure };

export interface Flight {
  readonly outcome: Promise<FlightOutcome>;
  /** False once an unsafe method has made its answer old. */
  mayStore: boolean;
}

export interface FetchingOptions {
  readonly upstream: UpstreamClient;
  readonly store: ResponseStore;
  /** What its responses are stored under. */
  readonly site: string;
  readonly clock: Clock;
  readonly events: EdgeEvents;
  readonly rules?: readonly CacheRule[];
  /** How stale a response may be served when the upstream fails, as of now; without it only as responses allow. */
  readonly staleBounds?: () => StaleBounds;
}

type Named = Pick<EdgeRequest, "webOrigin" | "target">;

export class Fetching {
  readonly #options: FetchingOptions;
  readonly #flights = new Map<string, Flight>();

  constructor(options: FetchingOptions) {
    this.#options = options;
  }

  find(request: Named): Flight | undefined {
    return this.#flights.get(this.#keyOf(request));
  }

  /** `undefined` where `FLIGHTS_MAX` are under way. `stored` is validated where it can be. */
  start(request: EdgeRequest, stored: StoredResponse | undefined): Flight | undefined {
    if (this.#flights.size >= FLIGHTS_MAX) return undefined;
    const head = Promise.withResolvers<FlightOutcome>();
    const flight: Flight = { outcome: head.promise, mayStore: true };
    this.#flights.set(this.#keyOf(request), flight);
    this.#fly(request, stored, flight, head.resolve).catch((error: unknown) => {
      this.#land(request, flight);
      head.resolve({ kind: "failed", failure: asFailure(error) });
    });
    return flight;
  }

  invalidate(named: Named): void {
    const key = this.#keyOf(named);
    const flight = this.#flights.get(key);
    if (flight !== undefined) flight.mayStore = false;
    this.#flights.delete(key);
    this.#options.store.remove(key);
  }

  /** Whether the stored response may be served where the upstream fails. */
  onFailure(stored: StoredResponse): ReturnType<typeof decideOnFailure> {
    return decideOnFailure(stored.freshness, this.#options.staleBounds?.() ?? {}, this.#options.clock.nowMs());
  }

  async #fly(
    request: EdgeRequest,
    stored: StoredResponse | undefined,
    flight: Flight,
    resolve: (outcome: FlightOutcome) => void,
  ): Promise<void> {
    const response = await this.#options.upstream.fetch({
      method: "GET",
      target: request.target,
      fields: withValidators(forwardedFields(request, "whole"), stored),
    });
    if (stored !== undefined && response.status >= 500 && this.onFailure(stored).kind === "serve-stale") {
      response.discard();
      throw new Failure("unavailable", `upstream answered ${response.status} for ${request.target}`, {
        retryable: true,
        detail: { status: response.status },
      });
    }
    if (stored !== undefined && response.status === 304) {
      const updated = this.#update(request, stored, response, flight);
      this.#land(request, flight);
      return resolve({ kind: "validated", stored: updated });
    }
    const decision = this.#decideStorage(request, response);
    const length = lengthOf(response.fields);
    if (decision.kind === "pass" || (length !== undefined && length > this.#options.store.bodyBytesMax)) {
      this.#land(request, flight);
      return resolve({ kind: "pass", response });
    }
    const arriving = arrivingOf(this.#options.site, request, response, decision.freshness);
    resolve({ kind: "arriving", response: arriving });
    await this.#fill(request, arriving, response, flight);
  }

  /** RFC 9111 section 3.2: the fields of the 304 take the place of those stored. */
  #update(request: EdgeRequest, stored: StoredResponse, response: UpstreamResponse, flight: Flight): StoredResponse {
    response.discard();
    const kept = [...stored.fields].filter(([name]) => name !== "age");
    const news = [...response.fields].filter(([name]) => !OF_THE_CONTENT.has(name));
    const fields = new Map([...kept, ...news]);
    const { requestedAtMs, receivedAtMs } = response;
    const facts = { status: stored.status, fields, requestedAtMs, receivedAtMs };
    const decision = this.#decideStorage(request, facts);
    if (decision.kind === "pass") {
      this.#options.store.remove(cacheKeyOf(stored));
      return { ...stored, fields };
    }
    const updated = { ...stored, fields, freshness: decision.freshness, requestedAtMs };
    if (flight.mayStore) this.#options.store.update(updated);
    return updated;
  }

  #decideStorage(request: EdgeRequest, facts: ResponseFacts): StorageDecision {
    const rule = ruleFor(this.#options.rules ?? [], request.target);
    return decideStorage({ method: "GET", fields: request.fields }, facts, rule);
  }

  /** What is stored goes on to arrive when its readers have left. */
  async #fill(
    request: EdgeRequest,
    { filling, ...head }: Arriving,
    response: UpstreamResponse,
    flight: Flight,
  ): Promise<void> {
    const { store, events } = this.#options;
    const storing = store.begin(head, () => flight.mayStore);
    let bytes = 0;
    try {
      for await (const chunk of response.body) {
        bytes += chunk.byteLength;
        storing.write(chunk);
        const isRead = await filling.push(chunk);
        if (!isRead && bytes > store.bodyBytesMax) break;
      }
    } catch (error) {
      this.#land(request, flight);
      const failure = asFailure(error);
      events.upstreamFailed(failure);
      filling.fail(failure);
      return await storing.abandon();
    }
    filling.finish();
    await storing.finish();
    this.#land(request, flight);
  }

  #land(request: EdgeRequest, flight: Flight): void {
    const key = this.#keyOf(request);
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }

  #keyOf({ webOrigin, target }: Named): string {
    return cacheKeyOf({ site: this.#options.site, webOrigin, key: target });
  }
}

/** They describe the content that was sent, which a 304 has none of. */
const OF_THE_CONTENT = new Set([
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
  "transfer-encoding",
]);

function asFailure(error: unknown): Failure {
  if (isFailure(error)) return error;
  throw error;
}

function lengthOf(fields: Fields): number | undefined {
  const text = fieldValue(fields, "content-length");
  return text === undefined ? undefined : Number(text);
}

function withValidators(fields: Map<string, readonly string[]>, stored: StoredResponse | undefined): Fields {
  const tag = stored?.fields.get("etag");
  const modified = stored?.fields.get("last-modified");
  if (tag !== undefined) fields.set("if-none-match", tag);
  if (modified !== undefined) fields.set("if-modified-since", modified);
  return fields;
}

function arrivingOf(site: string, request: EdgeRequest, response: UpstreamResponse, freshness: Freshness): Arriving {
  const names = varyNames(response.fields);
  return {
    site,
    webOrigin: request.webOrigin,
    key: request.target,
    varyNames: names,
    variant: variantKey(names, request.fields),
    status: response.status,
    fields: response.fields,
    freshness,
    requestedAtMs: response.requestedAtMs,
    filling: new Filling(),
  };
}
