/** Finds in memory what the flow of a pulled site would answer a simple request with at once, as that flow decides it. */
import type { CacheRule } from "#domain/content/site.ts";
import type { Directives } from "#domain/http/cache-control.ts";
import { type Fields, fieldsOf } from "#domain/http/fields.ts";
import { currentAgeSeconds, decideLookup } from "../caching/lookup.ts";
import { ruleFor } from "../caching/rules.ts";
import { isNotModified } from "../request/selection.ts";
import { cacheKeyOf, type StoredResponse } from "../store/stored-response.ts";
import type { HitFinder, LaneRequest } from "./fast-lane.ts";
import type { Hit } from "./prepared-hits.ts";

export interface StoredHitsOptions {
  readonly store: { findInMemory(cacheKey: string, request: Fields): StoredResponse | undefined };
  readonly site: string;
  readonly rules?: readonly CacheRule[];
  /** Under which name what is asked for is stored. */
  readonly webOriginOf?: (asked: string) => string;
  /** Which variant of a stored response answers, where there are encoded ones; `undefined` leaves it to the full lane. */
  readonly select?: ((stored: StoredResponse, request: Fields) => StoredResponse | undefined) | undefined;
  /** Whether nothing stands before the stored responses now: no policy's denial, no signature. */
  readonly isOpen: () => boolean;
  /** Asked of what would be answered; false leaves it to the full lane. It counts the request where true. */
  readonly admit: (request: LaneRequest) => boolean;
}

const NO_RULES: readonly CacheRule[] = [];
/** A simple request has no Cache-Control. */
const NOTHING_ASKED: Directives = new Map();
/** Without content, or of a part, an answer is made by other rules. */
const STATUSES: ReadonlySet<number> = new Set([200, 203, 300, 301, 302, 307, 308, 404, 410]);

export class StoredHits implements HitFinder {
  readonly #options: StoredHitsOptions;
  readonly #conditions = new KnownConditions();
  /** The last that was asked for, and its own name. */
  #asked = "";
  #webOrigin = "";

  constructor(options: StoredHitsOptions) {
    this.#options = options;
  }

  find(request: LaneRequest, nowMs: number): Hit | undefined {
    const { store, site, rules = NO_RULES, isOpen, select, admit } = this.#options;
    const { target } = request;
    const webOrigin = this.#webOriginOf(request);
    if (!isOpen() || ruleFor(rules, target).bypass === true) return undefined;
    const found = store.findInMemory(cacheKeyOf({ site, webOrigin, key: target }), request.fields);
    const stored = found === undefined || select === undefined ? found : select(found, request.fields);
    if (stored === undefined || !(stored.body instanceof Uint8Array) || !STATUSES.has(stored.status)) return undefined;
    const decision = decideLookup(stored.freshness, NOTHING_ASKED, nowMs);
    if (decision.kind !== "serve" || !admit(request)) return undefined;
    const ttl = stored.freshness.lifetimeSeconds - currentAgeSeconds(stored.freshness, nowMs);
    const isNotModified = this.#conditions.isNotModified(request, stored, nowMs);
    const kind = isNotModified ? "not-modified" : request.isHead ? "head" : "whole";
    const ageSeconds = Math.floor(decision.ageSeconds);
    return { stored, body: stored.body, kind, ageSeconds, ttlSeconds: Math.floor(ttl) };
  }

  #webOriginOf({ webOrigin }: LaneRequest): string {
    if (webOrigin === this.#asked) return this.#webOrigin;
    this.#asked = webOrigin;
    this.#webOrigin = this.#options.webOriginOf?.(webOrigin) ?? webOrigin;
    return this.#webOrigin;
  }
}

interface Decided {
  readonly ifNoneMatch: string;
  readonly isNotModified: boolean;
}

/** The last If-None-Match for each response and what was decided of it, which no clock changes: most send the same one. */
class KnownConditions {
  readonly #known = new WeakMap<StoredResponse, Decided>();

  isNotModified(request: LaneRequest, stored: StoredResponse, nowMs: number): boolean {
    const { ifNoneMatch, ifModifiedSince } = request;
    if (stored.status !== 200 || (ifNoneMatch === undefined && ifModifiedSince === undefined)) return false;
    const known = this.#known.get(stored);
    if (ifNoneMatch !== undefined && known?.ifNoneMatch === ifNoneMatch) return known.isNotModified;
    const isSo = isNotModified(conditionsOf(request), stored.fields, nowMs);
    if (ifNoneMatch !== undefined) this.#known.set(stored, { ifNoneMatch, isNotModified: isSo });
    return isSo;
  }
}

function conditionsOf({ ifNoneMatch, ifModifiedSince }: LaneRequest): Fields {
  return fieldsOf([
    ...(ifNoneMatch === undefined ? [] : ["if-none-match", ifNoneMatch]),
    ...(ifModifiedSince === undefined ? [] : ["if-modified-since", ifModifiedSince]),
  ]);
}
