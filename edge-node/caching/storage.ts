/** Decides whether a response is stored and for how long it is fresh (RFC 9111 sections 3 and 4.2). Pure. */
import { type Directives, deltaSeconds, parseCacheControl } from "#domain/http/cache-control.ts";
import { parseHttpDate } from "#domain/http/date.ts";
import { type Fields, fieldValue } from "#domain/http/fields.ts";

/** Statuses that may be stored without explicit freshness (RFC 9110 section 15.1); 206 is not stored as such. */
const HEURISTIC_STATUSES = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]);
/** RFC 9111 section 4.2.2 suggests a tenth of the time since the last modification. */
export const HEURISTIC_RATIO = 0.1;
/** Nobody expects a page that says nothing to be kept longer. */
export const HEURISTIC_SECONDS_MAX = 86_400;

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
  readonly staleWhileRevalidateSeconds: number;
  readonly staleIfErrorSeconds: number;
}

export type StorageDecision =
  | { readonly kind: "store"; readonly freshness: Freshness }
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
  const directives = parseCacheControl(fieldValue(response.fields, "cache-control"));
  const refusal = refusalOf(request, response, directives, rule);
  if (refusal !== undefined) return { kind: "pass", because: refusal };
  const lifetimeSeconds = lifetimeOf(response, directives, rule);
  if (lifetimeSeconds === undefined) return { kind: "pass", because: "no-freshness" };
  return { kind: "store", freshness: freshnessOf(response, directives, lifetimeSeconds) };
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
  if (response.status < 200 || response.status === 206 || response.status === 304) return "status";
  const asked = parseCacheControl(fieldValue(request.fields, "cache-control"));
  if (directives.has("no-store") || asked.has("no-store")) return "no-store";
  if (directives.has("private")) return "private";
  if (fieldValue(response.fields, "vary")?.includes("*") === true) return "vary";
  const isForAll = directives.has("public") || directives.has("s-maxage");
  if (request.fields.has("authorization") && !isForAll && !directives.has("must-revalidate")) return "authorization";
  if (response.fields.has("set-cookie") && !isForAll) return "set-cookie";
  return undefined;
}

/** Section 4.2.1, then the Site's rule, then the heuristic; `undefined` where nothing allows storing. */
function lifetimeOf(response: ResponseFacts, directives: Directives, rule: SiteRule): number | undefined {
  for (const name of ["s-maxage", "max-age"]) {
    const seconds = deltaSeconds(directives, name);
    if (seconds !== undefined) return seconds === "invalid" ? 0 : seconds;
  }
  const { fields, receivedAtMs } = response;
  const dateMs = dateOf(response);
  const expires = fields.get("expires");
  if (expires !== undefined) {
    const expiresMs = expires.length === 1 ? parseHttpDate(expires[0] ?? "", receivedAtMs) : undefined;
    return expiresMs === undefined ? 0 : Math.max(0, (expiresMs - dateMs) / 1000);
  }
  if (!HEURISTIC_STATUSES.has(response.status) && !directives.has("public")) return undefined;
  if (rule.freshnessSeconds !== undefined) return rule.freshnessSeconds;
  const modifiedMs = parseHttpDate(fieldValue(fields, "last-modified") ?? "", receivedAtMs);
  if (modifiedMs !== undefined)
    return Math.min(HEURISTIC_SECONDS_MAX, Math.max(0, (dateMs - modifiedMs) / 1000) * HEURISTIC_RATIO);
  return fields.has("etag") || directives.has("no-cache") || directives.has("public") ? 0 : undefined;
}

function dateOf({ fields, receivedAtMs }: ResponseFacts): number {
  return parseHttpDate(fieldValue(fields, "date") ?? "", receivedAtMs) ?? receivedAtMs;
}

function freshnessOf(response: ResponseFacts, directives: Directives, lifetimeSeconds: number): Freshness {
  const alwaysValidate = directives.has("no-cache");
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
  const [first = ""] = response.fields.get("age") ?? [];
  const stated = /^\d+/.test(first.trim()) ? Number.parseInt(first, 10) : 0;
  const delay = Math.max(0, (response.receivedAtMs - response.requestedAtMs) / 1000);
  return Math.max(apparent, stated + delay);
}

function secondsOf(directives: Directives, name: string): number {
  const seconds = deltaSeconds(directives, name);
  return seconds === undefined || seconds === "invalid" ? 0 : seconds;
}
