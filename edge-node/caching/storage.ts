/** Decides whether a response is stored and for how long it is fresh (RFC 9111 sections 3 and 4.2). Pure. */
import { DELTA_SECONDS_MAX, type Directives, deltaSeconds, parseCacheControl } from "#domain/http/cache-control.ts";
import { parseHttpDate } from "#domain/http/date.ts";
import { endToEndFields, type Fields, fieldValue } from "#domain/http/fields.ts";
import { directivesOf, fieldsNamedBy, isWhole, type ResponseDirectives } from "./directives.ts";

/** Statuses that may be stored without explicit freshness (RFC 9110 section 15.1); 206 is not stored as such. */
const HEURISTIC_STATUSES = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]);
/** Statuses whose caching this cache knows: for others `must-understand` forbids to store (RFC 9111 section 5.2.2.3). */
const UNDERSTOOD_STATUSES = new Set([...HEURISTIC_STATUSES, 302, 303, 307, 400, 401, 403, 406, 409, 411, 412, 413]);
/** RFC 9111 section 4.2.2 suggests a tenth of the time since the last modification. */
export const HEURISTIC_RATIO = 0.1;
/** Nobody expects a page that says nothing to be kept longer. */
export const HEURISTIC_SECONDS_MAX = 86_400;
/** What is missing now may be there soon, whatever the response says of itself. */
export const CLIENT_ERROR_SECONDS_MAX = 300;
/** An upstream that fails is asked again soon. */
export const SERVER_ERROR_SECONDS_MAX = 10;

export interface RequestFacts {
  readonly method: string;
  readonly fields: Fields;
}

export interface ResponseFacts {
  readonly status: number;
  readonly fields: Fields;
  /** When the request was sent and the response's head arrived, epoch milliseconds. */
  readonly requestedAtMs: number;
  readonly receivedAtMs: number;
}

/** What the rules of a Site say for the request's path. */
export interface SiteRule {
  /** Where the response states no freshness. */
  readonly freshnessSeconds?: number;
  readonly bypass?: boolean;
  /** Responses that set cookies are for everyone. */
  readonly shareSetCookie?: boolean;
}

/** All that later decisions need of a stored response's fields; computed once. */
export interface Freshness {
  readonly receivedAtMs: number;
  readonly initialAgeSeconds: number;
  readonly lifetimeSeconds: number;
  /** Never without successful validation: `no-cache`. */
  readonly alwaysValidate: boolean;
  /** Never stale: `must-revalidate`, `proxy-revalidate`, `no-cache`. */
  readonly neverStale: boolean;
  /** `s-maxage` forbids stale but where the response or the Site allow it by name. */
  readonly hasSharedLifetime: boolean;
  /** Negative where the response does not name it. */
  readonly staleWhileRevalidateSeconds: number;
  readonly staleIfErrorSeconds: number;
}

export type StorageDecision =
  /** `fields` are those that are stored. */
  | { readonly kind: "store"; readonly freshness: Freshness; readonly fields: Fields }
  | {
      readonly kind: "pass";
      readonly because:
        | "method"
        | "rule"
        | "status"
        | "no-store"
        | "private"
        | "authorization"
        | "set-cookie"
        | "vary"
        | "no-freshness";
    };

export function decideStorage(request: RequestFacts, response: ResponseFacts, rule: SiteRule = {}): StorageDecision {
  const stated = directivesOf(response.fields);
  const fields = storedFields(response.fields, stated.directives);
  const refusal = refusalOf(request, { ...response, fields }, stated.directives, rule);
  if (refusal !== undefined) return { kind: "pass", because: refusal };
  const lifetimeSeconds = lifetimeOf(response, stated, rule);
  if (lifetimeSeconds === undefined) return { kind: "pass", because: "no-freshness" };
  const capped = Math.min(lifetimeSeconds, lifetimeSecondsMax(response.status));
  return { kind: "store", freshness: freshnessOf(response, stated.directives, capped), fields };
}

/** A POST is answered for later GETs where it says so (RFC 9110 section 9.3.3): the caller compares Content-Location. */
export function hasExplicitFreshness(fields: Fields): boolean {
  const { directives, isTargeted } = directivesOf(fields);
  return directives.has("max-age") || directives.has("s-maxage") || (!isTargeted && fields.has("expires"));
}

/** RFC 9111 section 3.1, without what `no-cache` and `private` name. */
function storedFields(fields: Fields, directives: Directives): Fields {
  const left = endToEndFields(fields);
  const named = [...fieldsNamedBy(directives, "no-cache"), ...fieldsNamedBy(directives, "private")];
  return named.length === 0 ? left : new Map([...left].filter(([name]) => !named.includes(name)));
}

/** They answer a condition or a range of a request: nothing of the representation (RFC 9110 sections 15.3.7 to 15.5.17). */
const OF_ONE_REQUEST = new Set([206, 304, 412, 416]);

/** RFC 9110 section 15: others are no statuses. */
function isFinal(status: number): boolean {
  return status >= 200 && status <= 599;
}

type Refusal = Exclude<Extract<StorageDecision, { kind: "pass" }>["because"], "no-freshness">;

function refusalOf(
  request: RequestFacts,
  response: ResponseFacts,
  directives: Directives,
  rule: SiteRule,
): Refusal | undefined {
  if (request.method !== "GET") return "method";
  if (rule.bypass === true) return "rule";
  if (!isFinal(response.status) || OF_ONE_REQUEST.has(response.status)) return "status";
  const mustUnderstand = directives.has("must-understand");
  if (mustUnderstand && !UNDERSTOOD_STATUSES.has(response.status)) return "status";
  const asked = parseCacheControl(fieldValue(request.fields, "cache-control"));
  if ((directives.has("no-store") && !mustUnderstand) || asked.has("no-store")) return "no-store";
  if (isWhole(directives, "private")) return "private";
  if (fieldValue(response.fields, "vary")?.includes("*") === true) return "vary";
  const isForAll = ["public", "s-maxage", "must-revalidate"].some((name) => directives.has(name));
  if (request.fields.has("authorization") && !isForAll) return "authorization";
  if (response.fields.has("set-cookie") && rule.shareSetCookie !== true) return "set-cookie";
  return undefined;
}

/** Section 4.2.1, then the Site's rule, then the heuristic; `undefined` where nothing allows storing. */
function lifetimeOf(
  response: ResponseFacts,
  { directives, isTargeted }: ResponseDirectives,
  rule: SiteRule,
): number | undefined {
  for (const name of ["s-maxage", "max-age"]) {
    const seconds = deltaSeconds(directives, name);
    if (seconds !== undefined) return seconds === "invalid" ? 0 : seconds;
  }
  const expires = isTargeted ? undefined : response.fields.get("expires");
  if (expires !== undefined) {
    const expiresMs = expires.length === 1 ? parseHttpDate(expires[0] ?? "", response.receivedAtMs) : undefined;
    return expiresMs === undefined ? 0 : Math.max(0, (expiresMs - dateOf(response)) / 1000);
  }
  return HEURISTIC_STATUSES.has(response.status) || directives.has("public")
    ? heuristicLifetimeOf(response, directives, rule)
    : undefined;
}

function heuristicLifetimeOf(
  response: ResponseFacts,
  directives: Directives,
  { freshnessSeconds }: SiteRule,
): number | undefined {
  if (freshnessSeconds !== undefined) return freshnessSeconds;
  const { fields, receivedAtMs } = response;
  const modifiedMs = parseHttpDate(fieldValue(fields, "last-modified") ?? "", receivedAtMs);
  if (modifiedMs !== undefined) {
    const sinceSeconds = Math.max(0, (dateOf(response) - modifiedMs) / 1000);
    return Math.min(HEURISTIC_SECONDS_MAX, sinceSeconds * HEURISTIC_RATIO);
  }
  return fields.has("etag") || directives.has("no-cache") || directives.has("public") ? 0 : undefined;
}

function lifetimeSecondsMax(status: number): number {
  if (status >= 500) return SERVER_ERROR_SECONDS_MAX;
  return status >= 400 ? CLIENT_ERROR_SECONDS_MAX : Number.POSITIVE_INFINITY;
}

function dateOf({ fields, receivedAtMs }: ResponseFacts): number {
  return parseHttpDate(fieldValue(fields, "date") ?? "", receivedAtMs) ?? receivedAtMs;
}

function freshnessOf(response: ResponseFacts, directives: Directives, lifetimeSeconds: number): Freshness {
  const alwaysValidate = isWhole(directives, "no-cache");
  return {
    receivedAtMs: response.receivedAtMs,
    initialAgeSeconds: initialAgeOf(response),
    lifetimeSeconds,
    alwaysValidate,
    neverStale: alwaysValidate || directives.has("must-revalidate") || directives.has("proxy-revalidate"),
    hasSharedLifetime: directives.has("s-maxage"),
    staleWhileRevalidateSeconds: secondsOf(directives, "stale-while-revalidate"),
    staleIfErrorSeconds: secondsOf(directives, "stale-if-error"),
  };
}

/** Section 4.2.3: the greater of what the clocks and what the caches on the way say. */
function initialAgeOf(response: ResponseFacts): number {
  const apparent = Math.max(0, (response.receivedAtMs - dateOf(response)) / 1000);
  const delay = Math.max(0, (response.receivedAtMs - response.requestedAtMs) / 1000);
  return Math.max(apparent, statedAgeOf(response.fields) + delay);
}

/** Section 5.1: of several values the first, and none where it is no whole number. */
function statedAgeOf(fields: Fields): number {
  const [first = ""] = (fields.get("age")?.[0] ?? "").split(",");
  const digits = /^\s*(\d+)\s*(?:;|$)/.exec(first)?.[1];
  return digits === undefined ? 0 : Math.min(Number(digits), DELTA_SECONDS_MAX);
}

/** Negative where it is not named. */
function secondsOf(directives: Directives, name: string): number {
  const seconds = deltaSeconds(directives, name);
  return seconds === "invalid" ? 0 : (seconds ?? -1);
}
