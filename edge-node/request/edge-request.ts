/** What a request asks for, and what of it goes on to the upstream. Pure. */
import { type Directives, parseCacheControl } from "#domain/http/cache-control.ts";
import { endToEndFields, type Fields, fieldValue } from "#domain/http/fields.ts";
import type { PeerAsker } from "./peer-asker.ts";

/** Those of one connection, or of a tunnel: not passed on, 501 (RFC 9110 section 15.6.2). */
const METHODS_REFUSED = new Set(["CONNECT", "TRACE"]);

export interface EdgeRequest {
  readonly method: string;
  /** Scheme and host, in lower case and without a default port: the cache key has it, and so has the upstream request. */
  readonly webOrigin: string;
  /** Path and query. */
  readonly target: string;
  readonly fields: Fields;
  readonly asked: Directives;
  /** Whether the store may answer it and keep its answer. */
  readonly isCacheable: boolean;
  /** Another edge; absent for a user agent. */
  readonly askedBy?: PeerAsker["askedBy"];
}

export type Reading =
  | { readonly kind: "request"; readonly request: EdgeRequest }
  | { readonly kind: "refused"; readonly status: 400 | 501; readonly why: string };

/** RFC 9110 section 9.2.1, and what registered extensions of it say they are. */
const SAFE: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "PROPFIND", "QUERY", "REPORT", "SEARCH"]);

export function isSafe({ method }: EdgeRequest): boolean {
  return SAFE.has(method);
}

export type Scheme = "http" | "https";

/**
 * Refuses what RFC 9112 section 3.2 does: a target in neither origin nor absolute form, not exactly one Host, and a
 * target for another host than Host says.
 */
export function readRequest(scheme: Scheme, method: string, target: string, fields: Fields): Reading {
  if (METHODS_REFUSED.has(method)) return refused(501, `the method ${method} is not for a gateway`);
  const parts = ORIGIN_OR_ABSOLUTE_FORM.exec(target)?.groups;
  if (parts === undefined) return refused(400, "the target must be a path or an http URL");
  const [host = "", ...otherHosts] = fields.get("host") ?? [];
  const webOrigin = parseWebOrigin(scheme, host);
  if (webOrigin === undefined || otherHosts.length > 0)
    return refused(400, "a request has one Host: a name or address, and perhaps a port");
  const { authority, path = "/" } = parts;
  const isOfScheme = parts["scheme"] === undefined || parts["scheme"].toLowerCase() === scheme;
  if (!isOfScheme) return refused(400, "the target is for another scheme than this connection's");
  if (authority !== undefined && parseWebOrigin(scheme, authority) !== webOrigin)
    return refused(400, "the target is for another host than Host");
  return { kind: "request", request: requestOf(method, webOrigin, path, endToEndFields(fields)) };
}

/** Key, look-up and upstream's request are all made of the fields that are passed on: none of this connection alone. */
function requestOf(method: string, webOrigin: string, target: string, fields: Fields): EdgeRequest {
  const asked = parseCacheControl(fieldValue(fields, "cache-control"));
  const isConditionalOnState = fields.has("if-match") || fields.has("if-unmodified-since");
  const isCacheable = (method === "GET" || method === "HEAD") && !asked.has("no-store") && !isConditionalOnState;
  return { method, webOrigin, target, fields, asked, isCacheable };
}

function refused(status: 400 | 501, why: string): Reading {
  return { kind: "refused", status, why };
}

/** What node:http lets through is visible; a fragment is none of a request. */
const ORIGIN_OR_ABSOLUTE_FORM = /^(?:(?<scheme>https?):\/\/(?<authority>[^/?#]*)(?=\/|$))?(?<path>\/[^#]*)?$/i;
/** RFC 3986 section 3.2.2, percent-encoding left out: no name that resolves has it. */
const HOST = /^(?<name>[a-z0-9._~!$&'()*+,;=-]+|\[[0-9a-f:.]+\])(?::(?<port>\d{1,5}))?$/;
const DEFAULT_PORTS = { http: "80", https: "443" };

/** As RFC 6454 section 6.2 serialises it; `undefined` for what is no host. */
export function parseWebOrigin(scheme: Scheme, host: string): string | undefined {
  const parts = HOST.exec(host.toLowerCase())?.groups;
  if (parts === undefined) return undefined;
  const { name = "", port = DEFAULT_PORTS[scheme] } = parts;
  return port === DEFAULT_PORTS[scheme] ? `${scheme}://${name}` : `${scheme}://${name}:${port}`;
}

const VIA = "1.1 Perigee";

/**
 * The upstream's own Host is set by its client; `expect` was answered here. Those that say whom, where and how a request
 * was for are the gateway's word: from a user agent they would change what is stored without being in its key.
 */
const NOT_FORWARDED = new Set([
  "client-ip",
  "expect",
  "forwarded",
  "host",
  "true-client-ip",
  "x-client-ip",
  "x-cluster-client-ip",
  "x-forwarded",
  "x-host",
  "x-http-host-override",
  "x-original-host",
  "x-original-url",
  "x-real-ip",
  "x-rewrite-url",
  "x-scheme",
  "x-url-scheme",
]);
/** They make another method of a GET, whose answer is stored as that of a GET. */
const METHOD_OVERRIDES = new Set(["x-http-method", "x-http-method-override", "x-method-override"]);
/** The store wants the whole representation, whatever part this user agent lacks. */
const CONDITIONS = new Set(["range", "if-range", "if-none-match", "if-modified-since"]);

/** `clientAddress` is told only where the answer is for this client alone. */
export function forwardedFields(
  { fields, webOrigin }: EdgeRequest,
  wants: "as-asked" | "whole",
  clientAddress?: string,
): Map<string, readonly string[]> {
  const isLeftOut = (name: string) =>
    NOT_FORWARDED.has(name) ||
    name.startsWith("x-forwarded-") ||
    // Where fields become variables `_` and `-` are one: it would be any of those above.
    name.includes("_") ||
    (wants === "whole" && (CONDITIONS.has(name) || METHOD_OVERRIDES.has(name)));
  const passed = [...fields].filter(([name]) => !isLeftOut(name));
  const [scheme = "", host = ""] = webOrigin.split("://");
  return new Map([
    ...passed,
    ["via", [...(fields.get("via") ?? []), VIA]],
    ["x-forwarded-proto", [scheme]],
    ["x-forwarded-host", [host]],
    ...(clientAddress === undefined ? [] : [["x-forwarded-for", [clientAddress]] as const]),
  ]);
}

/** What a response passes on, with this gateway's Via. */
export function returnedFields(fields: Fields): Map<string, readonly string[]> {
  return new Map([...endToEndFields(fields), ["via", [...(fields.get("via") ?? []), VIA]]]);
}
