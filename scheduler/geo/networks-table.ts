/** The operator's table of networks: which group an address belongs to and where that is; the longest prefix wins. */
import { readFileSync } from "node:fs";
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Coordinates } from "#domain/geography.ts";
import {
  contains,
  formatNetwork,
  type IpAddress,
  type IpNetwork,
  networkOf,
  parseNetwork,
} from "#domain/ip-networks.ts";
import { type Fault, faultsOf } from "#domain/schema-faults.ts";
import { parseSourceDocuments, type SourceDocument } from "#platform/yaml/documents.ts";

/** What fits in a YAML file of 4 MiB; more is a database. */
export const NETWORKS_MAX = 50_000;

const closed = { additionalProperties: false };

export const networksFileSchema = Type.Object(
  {
    networks: Type.Array(
      Type.Object(
        {
          network: Type.String({ description: "in CIDR form" }),
          group: Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" }),
          country: Type.Optional(
            Type.String({ pattern: "^[A-Z]{2}$", description: "ISO 3166-1 alpha-2, before what GeoLite2 says" }),
          ),
          asn: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 4_294_967_295,
              description: "the autonomous system that announces it",
            }),
          ),
          coordinates: Type.Optional(
            Type.Object(
              {
                latitude: Type.Number({ minimum: -90, maximum: 90 }),
                longitude: Type.Number({ minimum: -180, maximum: 180 }),
              },
              closed,
            ),
          ),
        },
        closed,
      ),
      { maxItems: NETWORKS_MAX },
    ),
  },
  closed,
);

export interface NetworkRow {
  readonly network: IpNetwork;
  readonly group: string;
  readonly coordinates: Coordinates | undefined;
  /** What policies match; undefined where the row does not say. */
  readonly country?: string | undefined;
  readonly asn?: number | undefined;
}

export interface NetworksTable {
  readonly size: number;
  /** The row of the longest prefix that holds the address. */
  find(address: IpAddress): NetworkRow | undefined;
  /** Whether rows of longer prefixes lie within the network: then not all of it is one group. */
  isDivided(network: IpNetwork): boolean;
}

export const NO_NETWORKS: NetworksTable = networksTable([]);

/** Throws `config-invalid` with file and line of every fault. */
export function loadNetworksTable(file: string): NetworksTable {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw new Failure("config-invalid", `networksFile: ${file} cannot be read`, { cause });
  }
  return parseNetworksTable(text, file);
}

export function parseNetworksTable(text: string, file: string): NetworksTable {
  const document = readDocument(text, file);
  const value = document?.value ?? { networks: [] };
  const refuse = (faults: readonly Fault[]): Failure => {
    const lines = faults.map(({ pointer, message }) => `${file}:${document?.lineOf(pointer) ?? 1}: ${message}`);
    return new Failure("config-invalid", lines.join("\n"), { detail: { faults } });
  };
  if (!isNetworksFile(value)) throw refuse(faultsOf(Value.Errors(networksFileSchema, value), value));
  const { rows, faults } = rowsOf(value);
  if (faults.length > 0) throw refuse(faults);
  return networksTable(rows);
}

function readDocument(text: string, file: string): SourceDocument | undefined {
  try {
    const documents = parseSourceDocuments(text, file);
    if (documents.length <= 1) return documents[0];
  } catch (cause) {
    if (!isFailure(cause)) throw cause;
    throw new Failure("config-invalid", cause.message, { cause });
  }
  throw new Failure("config-invalid", `${file}: must be one YAML document`);
}

function isNetworksFile(value: unknown): value is Static<typeof networksFileSchema> {
  return Value.Check(networksFileSchema, value);
}

function rowsOf({ networks }: Static<typeof networksFileSchema>) {
  const rows: NetworkRow[] = [];
  const faults: Fault[] = [];
  const seen = new Map<string, number>();
  for (const [index, { network: written, ...said }] of networks.entries()) {
    const pointer = `/networks/${index}/network`;
    const parsed = parseNetwork(written);
    if (parsed.kind === "invalid") {
      faults.push({ pointer, message: `networks[${index}].network ${parsed.reason}` });
      continue;
    }
    const { network } = parsed;
    const name = formatNetwork(network);
    const earlier = seen.get(name);
    if (earlier !== undefined) {
      faults.push({ pointer, message: `networks[${index}].network ${name} is networks[${earlier}] already` });
    }
    seen.set(name, index);
    rows.push({ network, coordinates: undefined, ...said });
  }
  return { rows, faults };
}

/** A look-up costs one step for each prefix length that the table has. */
export function networksTable(rows: readonly NetworkRow[]): NetworksTable {
  const byLength = { 4: new Map<number, Map<bigint, NetworkRow>>(), 6: new Map<number, Map<bigint, NetworkRow>>() };
  for (const row of rows) {
    const { family, prefixLength, bits } = row.network;
    const ofLength = byLength[family].get(prefixLength) ?? new Map<bigint, NetworkRow>();
    byLength[family].set(prefixLength, ofLength);
    ofLength.set(bits, row);
  }
  const ordered = { 4: longestFirst(byLength[4]), 6: longestFirst(byLength[6]) };
  const sorted = { 4: byBits(rows, 4), 6: byBits(rows, 6) };
  return {
    size: rows.length,
    find(address) {
      for (const [prefixLength, ofLength] of ordered[address.family]) {
        const row = ofLength.get(networkOf(address, prefixLength).bits);
        if (row !== undefined) return row;
      }
      return undefined;
    },
    isDivided(network) {
      const { family, prefixLength } = network;
      const within = sorted[family];
      // Of the rows that begin within the network, shorter prefixes begin where it does and come first.
      for (let at = firstFrom(within, network.bits); at < within.length; at += 1) {
        const row = within[at];
        if (row === undefined || !contains(network, row)) return false;
        if (row.prefixLength > prefixLength) return true;
      }
      return false;
    },
  };
}

function byBits(rows: readonly NetworkRow[], family: 4 | 6): readonly IpNetwork[] {
  const networks = rows.map(({ network }) => network).filter((network) => network.family === family);
  const order = (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0);
  return networks.sort((a, b) => order(a.bits, b.bits) || a.prefixLength - b.prefixLength);
}

/** Index of the first network whose bits are not below. */
function firstFrom(networks: readonly IpNetwork[], bits: bigint): number {
  let [low, high] = [0, networks.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((networks[middle]?.bits ?? bits) < bits) low = middle + 1;
    else high = middle;
  }
  return low;
}

function longestFirst<T>(byLength: ReadonlyMap<number, T>): readonly (readonly [number, T])[] {
  return [...byLength].toSorted(([a], [b]) => b - a);
}
