/** What a zone is made of, and what the program that serves it says of the names in it. */
import { Failure } from "#domain/failure.ts";
import { parseHostName } from "#domain/ids.ts";
import { octetsOf } from "./ip-octets.ts";
import { isWithin } from "./names.ts";

export interface Nameserver {
  readonly name: string;
  /** Told with the name where that is in a zone of these; else its own zone tells them. */
  readonly addresses: readonly string[];
}

export interface Zone {
  /** In lower case. */
  readonly name: string;
  readonly nameservers: readonly [Nameserver, ...Nameserver[]];
  /** The mailbox of who runs it, as a name (RFC 1035 section 3.3.13). */
  readonly contact: string;
}

/** Who asks: the client's network where the resolver tells it, else the resolver itself. */
export interface DnsClient {
  readonly address: string;
  /** How many bits of it the resolver told; `undefined`: it told nothing. */
  readonly sourcePrefixLength: number | undefined;
}

export interface SteeredEdge {
  /** Scheme, host and port. */
  readonly contentUrl: string;
  /** What it is chosen by, the lowest first: a difference of milliseconds is a difference to the client. */
  readonly scoreMs: number;
}

export type NameLookup =
  | { readonly kind: "absent" }
  /** Nothing is known of it but that names below it are there. */
  | { readonly kind: "empty" }
  /** No edge can be named now. */
  | { readonly kind: "unavailable" }
  | {
      readonly kind: "edges";
      /** The best first. */
      readonly edges: readonly SteeredEdge[];
      readonly ttlSeconds: number;
      /** How many bits of the client's address it depended on. */
      readonly scopePrefixLength: number;
    };

export interface ZoneNames {
  /** Of a name within the zone, in lower case. */
  lookUp(name: string, zone: string, client: DnsClient): NameLookup;
  /** Grows with what the zone is made of. */
  serial(): number;
}

export interface ZoneSettings {
  readonly zones: readonly string[];
  readonly nameservers: readonly Nameserver[];
  readonly contact?: string;
  readonly ttlSecondsMin: number;
  readonly ttlSecondsMax: number;
}

/** Throws `config-invalid` with every fault. */
export function zonesOf(settings: ZoneSettings): readonly Zone[] {
  const faults = faultsOf(settings);
  const [first, ...others] = settings.nameservers.map(({ name, addresses }) => ({
    ...{ name: name.toLowerCase(), addresses },
  }));
  if (faults.length > 0 || first === undefined) throw new Failure("config-invalid", faults.join("\n"));
  return settings.zones.map((zone) => ({
    name: zone.toLowerCase(),
    nameservers: [first, ...others],
    contact: settings.contact?.toLowerCase() ?? `hostmaster.${zone.toLowerCase()}`,
  }));
}

function faultsOf(settings: ZoneSettings): readonly string[] {
  const { zones, nameservers, contact, ttlSecondsMin, ttlSecondsMax } = settings;
  const isName = (text: string) => parseHostName(text) !== undefined;
  const isInside = (name: string) => zones.some((zone) => isWithin(name.toLowerCase(), zone.toLowerCase()));
  const shown = JSON.stringify;
  return [
    ...zones.flatMap((zone, at) =>
      isName(zone) ? [] : [`dns.zones[${at}] must be a domain name, got ${shown(zone)}`],
    ),
    ...nameservers.flatMap(({ name, addresses }, at) => {
      const path = `dns.nameservers[${at}]`;
      if (!isName(name)) return [`${path}.name must be a host name, got ${shown(name)}`];
      const wrong = addresses.filter((address) => octetsOf(address) === undefined);
      if (wrong.length > 0)
        return [`${path}.addresses must be IP addresses, got ${wrong.map((a) => shown(a)).join(", ")}`];
      if (addresses.length > 0 || !isInside(name)) return [];
      return [`${path}.addresses must have one: ${name} is in a zone that is served here, so nobody else tells it`];
    }),
    ...(nameservers.length === 0 ? ["dns.nameservers must have one"] : []),
    ...(contact === undefined || isName(contact) ? [] : [`dns.contact must be a domain name, got ${shown(contact)}`]),
    ...(ttlSecondsMin <= ttlSecondsMax ? [] : ["dns.ttlSecondsMin must not be above dns.ttlSecondsMax"]),
  ];
}
