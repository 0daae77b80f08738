/** Decides which groups an address belongs to, from the finest to the coarsest, and where it is. */
import type { Coordinates } from "#domain/geography.ts";
import { formatNetwork, type IpAddress, networkOf, parseIp } from "#domain/ip-networks.ts";
import type { ShortlistClient } from "#domain/placement/shortlist.ts";
import type { PolicyClient } from "#domain/policy/policy-match.ts";
import type { Geoip } from "./geoip.ts";
import type { NetworksTable } from "./networks-table.ts";

/** What one access network announces at the least, and so one path: measurements within it speak for each other. */
const PREFIX_LENGTH = { 4: 24, 6: 48 } as const;
/** Cells of some 100 km: paths within differ by a millisecond or two. */
const CELL_DEGREES = 1;

/** Where a client is, and who it is as far as policies ask. */
export interface LocatedClient extends ShortlistClient, Pick<PolicyClient, "address" | "country" | "asn"> {}

export interface GroupSources {
  readonly networks: NetworksTable;
  readonly geoip: Geoip;
}

/** The operator's word first; without one the network itself, then its place on the globe. */
export function locateClient({ networks, geoip }: GroupSources, text: string): LocatedClient {
  const address = parseIp(text);
  if (address === undefined) return { groups: [], coordinates: undefined };
  const row = networks.find(address);
  const place = geoip.find(text);
  const who = { address: text, country: row?.country ?? place?.country, asn: row?.asn };
  if (row !== undefined) {
    const { group, coordinates } = row;
    return { groups: [`network:${group}`, ...cellOf(coordinates)], coordinates, ...who };
  }
  const country = place?.country === undefined ? [] : [`country:${place.country}`];
  const groups = [prefixGroup(address), ...cellOf(place?.coordinates), ...country];
  return { groups, coordinates: place?.coordinates, ...who };
}

function prefixGroup(address: IpAddress): string {
  return `prefix:${formatNetwork(networkOf(address, PREFIX_LENGTH[address.family]))}`;
}

function cellOf(coordinates: Coordinates | undefined): readonly string[] {
  if (coordinates === undefined) return [];
  const cell = (degrees: number) => Math.floor(degrees / CELL_DEGREES) * CELL_DEGREES;
  return [`cell:${cell(coordinates.latitude)},${cell(coordinates.longitude)}`];
}
