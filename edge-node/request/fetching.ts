/** Fetches what the store lacks, once per target at a time: later requests join the flight (collapsed requests). */
import { createHash } from "node:crypto";
import { Failure, isFailure } from "#domain/failure.ts";
import { type Fields, fieldValue } from "#domain/http/fields.ts";
import type { Clock } from "#platform/clock.ts";
import { decideOnFailure } from "../caching/lookup.ts";
import { decideStorage, type Freshness } from "../caching/storage.ts";
import { variantKey, varyNames } from "../caching/variants.ts";
import type { EdgeEvents } from "../events.ts";
import type { StoredResponse } from "../store/stored-response.ts";
import type { VariantStore } from "../store/variant-store.ts";
import type { UpstreamClient, UpstreamResponse } from "../upstream/upstream-client.ts";
import { type EdgeRequest, forwardedFields } from "./edge-request.ts";
import { Filling, STORED_BODY_BYTES_MAX } from "./filling.ts";

/** Beyond this many targets at once a request goes on its own. */
export const FLIGHTS_MAX = 4096;

/** A response that is being stored while it is read. */
export type Arriving = Omit<StoredResponse, "body" | "digest"> & { readonly filling: Filling };

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
  readonly store: VariantStore;
  readonly clock: Clock;
  readonly events: EdgeEvents;
}

export class Fetching {
  readonly #options: FetchingOptions;
  readonly #flights = new Map<string, Flight>();

  constructor(options: FetchingOptions) {
    this.#options = options;
  }

  find(target: string): Flight | undefined {
    return this.#flights.get(target);
  }

  /** `undefined` where `FLIGHTS_MAX` are under way. `stored` is validated where it can be. */
  start(request: EdgeRequest, stored: StoredResponse | undefined): Flight | undefined {
    if (this.#flights.size >= FLIGHTS_MAX) return undefined;
    const head = Promise.withResolvers<FlightOutcome>();
    const flight: Flight = { outcome: head.promise, mayStore: true };
    this.#flights.set(request.target, flight);
    this.#fly(request, stored, flight, head.resolve).catch((error: unknown) => {
      this.#land(request.target, flight);
      head.resolve({ kind: "failed", failure: asFailure(error) });
    });
    return flight;
  }

  invalidate(target: string): void {
    const flight = this.#flights.get(target);
    if (flight !== undefined) flight.mayStore = false;
    this.#flights.delete(target);
    this.#options.store.remove(target);
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
    if (stored !== undefined && this.#isStaleBetter(response, stored)) {
      response.discard();
      throw new Failure("unavailable", `upstream answered ${response.status} for ${request.target}`, {
        retryable: true,
        detail: { status: response.status },
      });
    }
    if (stored !== undefined && response.status === 304) {
      const updated = this.#update(request, stored, response, flight);
      this.#land(request.target, flight);
      return resolve({ kind: "validated", stored: updated });
    }
    const decision = decideStorage({ method: "GET", fields: request.fields }, response);
    const length = lengthOf(response.fields);
    if (decision.kind === "pass" || (length !== undefined && length > STORED_BODY_BYTES_MAX)) {
      this.#land(request.target, flight);
      return resolve({ kind: "pass", response });
    }
    const arriving = arrivingOf(request, response, decision.freshness);
    resolve({ kind: "arriving", response: arriving });
    await this.#fill(arriving, response, flight);
  }

  #isStaleBetter(response: UpstreamResponse, stored: StoredResponse): boolean {
    if (response.status < 500) return false;
    return decideOnFailure(stored.freshness, {}, this.#options.clock.nowMs()).kind === "serve-stale";
  }

  /** RFC 9111 section 3.2: the fields of the 304 take the place of those stored. */
  #update(request: EdgeRequest, stored: StoredResponse, response: UpstreamResponse, flight: Flight): StoredResponse {
    response.discard();
    const kept = [...stored.fields].filter(([name]) => name !== "age");
    const news = [...response.fields].filter(([name]) => !OF_THE_CONTENT.has(name));
    const fields = new Map([...kept, ...news]);
    const { requestedAtMs, receivedAtMs } = response;
    const facts = { status: stored.status, fields, requestedAtMs, receivedAtMs };
    const decision = decideStorage({ method: "GET", fields: request.fields }, facts);
    if (decision.kind === "pass") {
      this.#options.store.remove(request.target);
      return { ...stored, fields };
    }
    const updated = { ...stored, fields, freshness: decision.freshness };
    if (flight.mayStore) this.#options.store.put(updated);
    return updated;
  }

  async #fill(arriving: Arriving, response: UpstreamResponse, flight: Flight): Promise<void> {
    const { filling, ...head } = arriving;
    const hash = createHash("sha256");
    try {
      for await (const chunk of response.body) {
        hash.update(chunk);
        const isWanted = await filling.push(chunk);
        if (!filling.isJoinable) this.#land(head.key, flight);
        if (!isWanted) break;
      }
    } catch (error) {
      this.#land(head.key, flight);
      const failure = asFailure(error);
      this.#options.events.upstreamFailed(failure);
      return filling.fail(failure);
    }
    const isKept = filling.isJoinable && flight.mayStore;
    const body = isKept ? Buffer.concat(filling.chunks) : Buffer.alloc(0);
    if (isKept) this.#options.store.put({ ...head, body, digest: hash.digest("hex") });
    this.#land(head.key, flight);
    filling.finish();
  }

  #land(target: string, flight: Flight): void {
    if (this.#flights.get(target) === flight) this.#flights.delete(target);
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

function arrivingOf(request: EdgeRequest, response: UpstreamResponse, freshness: Freshness): Arriving {
  const names = varyNames(response.fields);
  return {
    key: request.target,
    varyNames: names,
    variant: variantKey(names, request.fields),
    status: response.status,
    fields: response.fields,
    freshness,
    filling: new Filling(),
  };
}
