/** Fuzzes the DNS responder with messages of a grammar and what bytes become of them; a fault is replayed by its seed. */
import { decode, type Option } from "dns-packet";
import { QUERY_BYTES_MAX, readQuery } from "#platform/dns/query.ts";
import { RESPONSE_BYTES_MAX, respond } from "#platform/dns/responder.ts";
import { payloadBytesOf } from "#platform/dns/response.ts";
import { responseRates } from "#platform/dns/response-rate.ts";
import { type DnsClient, type NameLookup, zonesOf } from "#platform/dns/zone-names.ts";
import { type Random, seededRandom } from "#platform/random.ts";
import { dnsMessage } from "./dns-messages.ts";

export interface DnsFuzzOutcome {
  readonly cases: number;
  /** Of which there was one question that could be read. */
  readonly queries: number;
  /** Of which the answer had records. */
  readonly answered: number;
  readonly ignored: number;
  readonly faults: readonly string[];
}

/** After more the first ones say enough. */
const FAULTS_MAX = 20;
/** Each comes when the bucket has more than it takes. */
const STEP_MS = 10;
const HEADER_OCTETS = 12;

export function fuzzDns(options: { readonly cases: number; readonly seed: number }): DnsFuzzOutcome {
  const random = seededRandom(options.seed);
  const world = open(random);
  const counts = { queries: 0, answered: 0, ignored: 0 };
  const faults: string[] = [];
  for (let index = 0; index < options.cases && faults.length < FAULTS_MAX; index += 1) {
    const bytes = dnsMessage(random);
    const shown = bytes.toString("hex");
    try {
      const outcome = world.send(bytes, random.integer(2) === 0 ? "udp" : "tcp");
      counts[outcome.kind] += 1;
      if (outcome.isAnswered) counts.answered += 1;
      faults.push(...outcome.faults.map((fault) => `${fault}: ${shown}`));
    } catch (error) {
      faults.push(`${error instanceof Error ? error.stack : String(error)}: ${shown}`);
    }
  }
  return { cases: options.cases, ...counts, faults };
}

interface Sent {
  readonly kind: "queries" | "ignored";
  readonly isAnswered: boolean;
  readonly faults: readonly string[];
}

function open(random: Random) {
  const faults: string[] = [];
  const clock = { nowMs: 0, monotonicMs: () => clock.nowMs };
  const zones = zonesOf({
    ...{ zones: ["cdn.example", "a.cdn.example"], ttlSecondsMin: 5, ttlSecondsMax: 60 },
    nameservers: [{ name: "ns1.cdn.example", addresses: ["192.0.2.53", "2001:db8::53"] }],
  });
  const names = {
    serial: () => 1,
    lookUp: (name: string, zone: string, client: DnsClient) => lookUp(random, name, zone, client),
  };
  const events = {
    answered: () => undefined,
    truncated: () => undefined,
    dropped: () => undefined,
    broke: (error: unknown) => void faults.push(`broke: ${error instanceof Error ? error.stack : String(error)}`),
  };
  const responding = { zones, names, events, rates: responseRates(clock) };
  return {
    send(bytes: Buffer, transport: "udp" | "tcp"): Sent {
      faults.length = 0;
      clock.nowMs += STEP_MS;
      const before = Buffer.from(bytes);
      const answer = respond(responding, bytes, {
        transport,
        from: random.integer(2) === 0 ? "192.0.2.7" : "2001:db8::7",
      });
      if (!before.equals(bytes)) faults.push("it has written into the query");
      if (answer === undefined)
        return { kind: "ignored", isAnswered: false, faults: [...faults, ...ignoredRightly(bytes)] };
      faults.push(...faultsOf(bytes, answer, transport));
      const read = readQuery(bytes);
      const isAnswered = read.kind === "query" && answer.readUInt16BE(6) > 0;
      return { kind: "queries", isAnswered, faults: [...faults] };
    },
  };
}

/** Names of all kinds, whatever is asked for. */
function lookUp(random: Random, name: string, zone: string, { address }: DnsClient): NameLookup {
  if (!name.endsWith(zone) || address === "") throw new Error(`asked for ${name} of ${zone} by ${address}`);
  const hosts = [
    "http://192.0.2.1",
    "https://192.0.2.2:8443",
    "https://[2001:db8::2]",
    "https://near.other.test",
    "nothing",
  ];
  const edges = hosts.filter(() => random.integer(2) === 0).map((contentUrl, scoreMs) => ({ contentUrl, scoreMs }));
  switch (random.integer(12)) {
    case 0:
      return { kind: "absent" };
    case 1:
      return { kind: "empty" };
    case 2:
      return { kind: "unavailable" };
    default:
      return { kind: "edges", edges, ttlSeconds: 5, scopePrefixLength: random.integer(129) };
  }
}

/** Only what is no query, or longer than any, is not answered. */
function ignoredRightly(bytes: Buffer): readonly string[] {
  const isResponse = bytes.length >= HEADER_OCTETS && (bytes.readUInt16BE(2) & 0x8000) !== 0;
  return bytes.length < HEADER_OCTETS || bytes.length > QUERY_BYTES_MAX || isResponse ? [] : ["not answered"];
}

function faultsOf(bytes: Buffer, answer: Buffer, transport: "udp" | "tcp"): readonly string[] {
  const faults: string[] = [];
  const check = (isRight: boolean, what: string) => isRight || faults.push(`${what}: ${answer.toString("hex")}`);
  const flags = answer.readUInt16BE(2);
  check(answer.readUInt16BE(0) === bytes.readUInt16BE(0), "another id");
  check((flags & 0x8000) !== 0 && (flags & 0x00e0) === 0, "flags of no authoritative response");
  const read = readQuery(bytes);
  if (read.kind !== "query") {
    check(answer.length === HEADER_OCTETS && read.kind === "faulty", "more than a header for what is no query");
    return faults;
  }
  const { query } = read;
  const { question, edns } = query;
  const limit = transport === "udp" ? payloadBytesOf(query) : RESPONSE_BYTES_MAX;
  check(answer.length <= limit, `longer than ${limit}`);
  check(
    answer.subarray(HEADER_OCTETS, HEADER_OCTETS + question.bytes.length).equals(question.bytes),
    "another question",
  );
  const decoded = decode(answer);
  const opts = decoded.additionals.filter(({ type }) => type === "OPT");
  check(opts.length === (edns === undefined ? 0 : 1), "OPT where there was none, or none where there was");
  check((flags & 0x0200) === 0 || decoded.answers.length === 0, "records in what is truncated");
  if ((flags & 15) === 5) check(answer.length <= bytes.length, "a refusal that is longer than the query");
  for (const option of opts.flatMap(({ options = [] }) => options))
    check(isSubnetOf(option, edns?.clientSubnet), "a subnet");
  return faults;
}

function isSubnetOf(option: Option, told: { readonly sourcePrefixLength: number } | undefined): boolean {
  const { sourcePrefixLength = 0, scopePrefixLength = 0 } = option;
  return (
    told !== undefined && sourcePrefixLength === told.sourcePrefixLength && scopePrefixLength <= sourcePrefixLength
  );
}
