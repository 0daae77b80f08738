/** Decides what an authoritative server answers a question (RFC 1034, 2308, 8482, 9460). Pure but for what its port looks up. */
import { addressOf } from "./client-subnet.ts";
import { CLASS_IN, RECORD_TYPES } from "./codes.ts";
import { edgeRecords } from "./edge-records.ts";
import { octetsOf } from "./ip-octets.ts";
import { isWithin } from "./names.ts";
import type { DnsQuery, Question } from "./query.ts";
import type { DnsAnswer, DnsRecord } from "./response.ts";
import type { DnsClient, Nameserver, Zone, ZoneNames } from "./zone-names.ts";

/** Of the zone's own records, which a roll-out of nameservers changes. */
const ZONE_TTL_SECONDS = 3_600;
/** A site applied a moment ago is asked for again soon. */
const NEGATIVE_TTL_SECONDS = 30;
/** Nobody copies the zone by them (RFC 1912 section 2.2). */
const COPYING = { refreshSeconds: 3_600, retrySeconds: 600, expireSeconds: 86_400 };

const REFUSED: DnsAnswer = {
  ...{ rcode: "REFUSED", isAuthoritative: false, answers: [], authority: [], additional: [] },
  scopePrefixLength: undefined,
};

export interface ServedZones {
  readonly zones: readonly Zone[];
  readonly names: ZoneNames;
}

/** `from` is the address that the query came from. */
export function answerQuery(served: ServedZones, { question, edns }: DnsQuery, from: string): DnsAnswer {
  if (edns !== undefined && edns.version !== 0) return { ...REFUSED, rcode: "BADVERS" };
  const zone = question.class === CLASS_IN ? findZone(served.zones, question.name) : undefined;
  const { type } = question;
  if (zone === undefined || type === RECORD_TYPES.AXFR || type === RECORD_TYPES.IXFR) return REFUSED;
  const subnet = edns?.clientSubnet;
  const told = subnet && addressOf(subnet);
  const client: DnsClient =
    subnet === undefined || told === undefined
      ? { address: from, sourcePrefixLength: undefined }
      : { address: told, sourcePrefixLength: subnet.sourcePrefixLength };
  return answerWithin(served, zone, question, client);
}

/** The longest that the name is in. */
function findZone(zones: readonly Zone[], name: string): Zone | undefined {
  const within = zones.filter((zone) => isWithin(name, zone.name));
  return within.toSorted((a, b) => b.name.length - a.name.length)[0];
}

function answerWithin(served: ServedZones, zone: Zone, question: Question, client: DnsClient): DnsAnswer {
  const { name, type } = question;
  const soa = soaOf(zone, served.names.serial());
  const nameserver = zone.nameservers.find((one) => one.name === name);
  const own = ownRecords(zone, nameserver, question, soa);
  if (own.length > 0) return found(own, type === RECORD_TYPES.NS ? glueOf(zone) : []);
  const negative = (rcode: "NOERROR" | "NXDOMAIN", scopePrefixLength = 0): DnsAnswer => ({
    ...{ rcode, isAuthoritative: true, answers: [], additional: [], scopePrefixLength },
    authority: [{ ...soa, ttlSeconds: NEGATIVE_TTL_SECONDS }],
  });
  if (nameserver !== undefined) return type === RECORD_TYPES.ANY ? minimalAny(name) : negative("NOERROR");
  const lookup = served.names.lookUp(name, zone.name, client);
  if (lookup.kind === "unavailable") return { ...REFUSED, rcode: "SERVFAIL", isAuthoritative: true };
  const isThere = lookup.kind !== "absent" || name === zone.name || isAboveNameserver(zone, name);
  if (!isThere) return negative("NXDOMAIN");
  if (type === RECORD_TYPES.ANY) return minimalAny(name);
  if (lookup.kind !== "edges") return negative("NOERROR");
  const isOurs = (host: string) => served.zones.some((one) => isWithin(host, one.name));
  const records = edgeRecords(lookup, { name, type, mayBeAlias: name !== zone.name, isOurs });
  if (records === "unusable") return { ...REFUSED, rcode: "SERVFAIL", isAuthoritative: true };
  const { scopePrefixLength } = lookup;
  return records.length === 0 ? negative("NOERROR", scopePrefixLength) : found(records, [], scopePrefixLength);
}

function found(answers: readonly DnsRecord[], additional: readonly DnsRecord[], scopePrefixLength = 0): DnsAnswer {
  return { rcode: "NOERROR", isAuthoritative: true, answers, authority: [], additional, scopePrefixLength };
}

/** What the configuration says of the name: the zone itself, or a nameserver in it. */
function ownRecords(
  zone: Zone,
  nameserver: Nameserver | undefined,
  { name, type }: Question,
  soa: DnsRecord,
): readonly DnsRecord[] {
  if (name === zone.name && type === RECORD_TYPES.SOA) return [soa];
  if (name === zone.name && type === RECORD_TYPES.NS) {
    return zone.nameservers.map(({ name: target }) => ({
      ...{ owner: name, ttlSeconds: ZONE_TTL_SECONDS, data: { type: "NS", target } },
    }));
  }
  return nameserver === undefined
    ? []
    : addressRecords(nameserver).filter(({ data }) => RECORD_TYPES[data.type] === type);
}

/** Of nameservers in the zone, which cannot be found but by asking them (RFC 1034 section 4.2.1). */
function glueOf(zone: Zone): readonly DnsRecord[] {
  return zone.nameservers.filter(({ name }) => isWithin(name, zone.name)).flatMap(addressRecords);
}

function addressRecords({ name, addresses }: Nameserver): readonly DnsRecord[] {
  return addresses.map((address) => ({
    ...{ owner: name, ttlSeconds: ZONE_TTL_SECONDS },
    data: { type: octetsOf(address)?.length === 4 ? "A" : "AAAA", address },
  }));
}

/** A name below which there are names is there itself (RFC 8020). */
function isAboveNameserver({ nameservers }: Zone, name: string): boolean {
  return nameservers.some((nameserver) => nameserver.name.endsWith(`.${name}`));
}

/** RFC 8482 section 4.2. */
function minimalAny(owner: string): DnsAnswer {
  return found([{ owner, ttlSeconds: ZONE_TTL_SECONDS, data: { type: "HINFO", cpu: "RFC8482" } }], []);
}

function soaOf({ name, nameservers: [primary], contact }: Zone, serial: number): DnsRecord {
  const times = { ...COPYING, serial: serial % 2 ** 32, negativeSeconds: NEGATIVE_TTL_SECONDS };
  return {
    ...{ owner: name, ttlSeconds: ZONE_TTL_SECONDS, data: { type: "SOA", primary: primary.name, contact, times } },
  };
}
