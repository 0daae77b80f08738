/** Makes records of the edges that a client is steered to: addresses, HTTPS, or an alias where an edge has a name only. Pure. */
import { parseHostName } from "#domain/ids.ts";
import { RECORD_TYPES } from "./codes.ts";
import { octetsOf } from "./ip-octets.ts";
import type { DnsRecord, RecordData } from "./response.ts";
import type { SteeredEdge } from "./zone-names.ts";

/** A user agent tries the next one where the first is gone; more are no nearer. */
export const EDGES_NAMED_MAX = 3;
/** Resolvers and user agents take any address of an answer: one that is farther than this is in none. */
const ALTERNATIVE_MS_MAX = 3;
const HTTPS_PORT = 443;
const HTTP_PORT = 80;

interface Endpoint {
  readonly scheme: string;
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  readonly family: 4 | 6 | undefined;
  readonly scoreMs: number;
}

export interface Asked {
  readonly name: string;
  readonly type: number;
  /** Beside what a zone itself has there may be no alias (RFC 1034 section 3.6.2). */
  readonly mayBeAlias: boolean;
  /** Whether a host's name is in a zone of these, where nothing but its edge's name would be found. */
  readonly isOurs: (host: string) => boolean;
}

/** Empty: nothing of the type. `unusable`: of no edge there is an address. */
export function edgeRecords(
  { edges, ttlSeconds }: { readonly edges: readonly SteeredEdge[]; readonly ttlSeconds: number },
  { name: owner, type, mayBeAlias, isOurs }: Asked,
): readonly DnsRecord[] | "unusable" {
  const endpoints = edges
    .flatMap(endpointOf)
    .filter(({ family, host }) => family !== undefined || (mayBeAlias && !isOurs(host)));
  const [first] = endpoints;
  if (first === undefined) return "unusable";
  const record = (data: RecordData): DnsRecord => ({ owner, ttlSeconds, data });
  if (first.family === undefined) return [record({ type: "CNAME", target: first.host })];
  const addresses = (family: 4 | 6) => addressesOf(endpoints, family, first);
  if (type === RECORD_TYPES.A) return addresses(4).map((address) => record({ type: "A", address }));
  if (type === RECORD_TYPES.AAAA) return addresses(6).map((address) => record({ type: "AAAA", address }));
  // A record of the type says that the site is to be had by HTTPS (RFC 9460 section 9.5).
  if (type !== RECORD_TYPES.HTTPS || first.scheme !== "https") return [];
  const port = first.port === HTTPS_PORT ? undefined : first.port;
  return [record({ type: "HTTPS", priority: 1, alpn: ["h2"], port, ipv4: addresses(4), ipv6: addresses(6) })];
}

/** Of edges that are as near as the best of the family, and reached by the same scheme and port: one URL leads to all. */
function addressesOf(endpoints: readonly Endpoint[], family: 4 | 6, first: Endpoint): readonly string[] {
  const ofFamily = endpoints.filter((endpoint) => endpoint.family === family);
  const isAlike = (one: Endpoint, other: Endpoint) => one.scheme === other.scheme && one.port === other.port;
  const best = ofFamily.find((endpoint) => isAlike(endpoint, first)) ?? ofFamily[0];
  if (best === undefined) return [];
  const near = ofFamily.filter((one) => isAlike(one, best) && one.scoreMs - best.scoreMs <= ALTERNATIVE_MS_MAX);
  return [...new Set(near.map(({ host }) => host))].slice(0, EDGES_NAMED_MAX);
}

/** None of what is no URL, or leads to no name. */
function endpointOf({ contentUrl, scoreMs }: SteeredEdge): readonly Endpoint[] {
  const url = URL.parse(contentUrl);
  const host = url?.hostname.replace(/^\[|\]$/g, "") ?? "";
  const octets = octetsOf(host);
  if (url === null || (octets === undefined && parseHostName(host) === undefined)) return [];
  const scheme = url.protocol.slice(0, -1);
  const port = url.port === "" ? (scheme === "https" ? HTTPS_PORT : HTTP_PORT) : Number(url.port);
  const family = octets === undefined ? undefined : octets.length === 4 ? 4 : 6;
  return [{ scheme, host, port, family, scoreMs }];
}
