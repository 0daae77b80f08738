/** Decides which groups an address belongs to, from the finest to the coarsest, and where it is. */
import type { Coordinates } from "#domain/geography.ts";
import { formatNetwork, type IpNetwork, networkOf, parseIp } from "#domain/ip-networks.ts";
import type { ShortlistClient } from "#domain/placement/shortlist.ts";
import type { NamedPolicy, PolicyClient } from "#domain/policy/policy-match.ts";
import type { Geoip } from "./geoip.ts";
import type { NetworksTable } from "./networks-table.ts";
import { toldApart } from "./told-apart.ts";

/** What one access network announces at the least, and so one path: measurements within it speak for each other. */
export const PREFIX_LENGTH = { 4: 24, 6: 48 } as const;
const WIDTH = { 4: 32, 6: 128 } as const;
/** Cells of some 100 km: paths within differ by a millisecond or two. */
const CELL_DEGREES = 1;

/** Where a client is, and who it is as far as policies ask. */
export interface LocatedClient extends ShortlistClient, Pick<PolicyClient, "address" | "country" | "asn"> {
  /** What may be kept of its address: a /24 or /48. Undefined for what is no address. */
  readonly network?: string | undefined;
}

export interface GroupSources {
  readonly networks: NetworksTable;
  readonly geoip: Geoip;
}

export interface PrefixSources {
  readonly networks: NetworksTable;
  /** In one array for as long as they are the same. */
  readonly policies: readonly NamedPolicy[];
}

/**
 * The operator's word first; without one the network itself. Then who carries it there, where a row says so: paths of one
 * carrier from one city are alike. Then its place on the globe.
 */
export function locateClient({ networks, geoip }: GroupSources, text: string): LocatedClient {
  const address = parseIp(text);
  if (address === undefined) return { groups: [], coordinates: undefined };
  const row = networks.find(address);
  const place = geoip.find(text);
  const network = formatNetwork(networkOf(address, PREFIX_LENGTH[address.family]));
  const who = { address: text, country: row?.country ?? place?.country, asn: row?.asn, network };
  if (row !== undefined) {
    const { group, coordinates, asn, country } = row;
    const cell = cellOf(coordinates);
    const carrier = asn === undefined ? [] : cell.map((name) => `asn:${asn} ${name}`);
    return { groups: [`network:${group}`, ...carrier, ...cell, ...countryOf(country)], coordinates, ...who };
  }
  const groups = [`prefix:${network}`, ...cellOf(place?.coordinates), ...countryOf(place?.country)];
  return { groups, coordinates: place?.coordinates, ...who };
}

/**
 * How long a prefix the address has whose every address is of the same group and to policies the same: at least the
 * row's or the network's own, and long enough that no other row and no network of a policy is within (RFC 7871 section
 * 7.2.1). 0 for what is no address.
 */
export function groupPrefixLength({ networks, policies }: PrefixSources, text: string): number {
  const address = parseIp(text);
  if (address === undefined) return 0;
  const longest = WIDTH[address.family];
  const told = toldApart(policies);
  if (told.byAddress) return longest;
  const row = networks.find(address);
  const own = PREFIX_LENGTH[address.family];
  let prefixLength = row?.network.prefixLength ?? own;
  if (told.byCountry && row?.country === undefined) prefixLength = Math.max(prefixLength, own);
  const isDivided = (network: IpNetwork) => networks.isDivided(network) || told.networks.isDivided(network);
  while (prefixLength < longest && isDivided(networkOf(address, prefixLength))) prefixLength += 1;
  return prefixLength;
}

function countryOf(country: string | undefined): readonly string[] {
  return country === undefined ? [] : [`country:${country}`];
}

function cellOf(coordinates: Coordinates | undefined): readonly string[] {
  if (coordinates === undefined) return [];
  const cell = (degrees: number) => Math.floor(degrees / CELL_DEGREES) * CELL_DEGREES;
  return [`cell:${cell(coordinates.latitude)},${cell(coordinates.longitude)}`];
}
