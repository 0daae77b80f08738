/** Writes responses: header, the question as it came, records, and OPT where the query had one; cut short where they do not fit. Pure. */
import { clientSubnetOption } from "./client-subnet.ts";
import { CLASS_IN, RCODES, type Rcode, RECORD_TYPES } from "./codes.ts";
import { octetsOf } from "./ip-octets.ts";
import { MessageParts, plainName, sixteen, thirtyTwo } from "./names.ts";
import { type DnsQuery, HEADER_OCTETS, type QueryHead } from "./query.ts";

/** A datagram that no path has to cut in pieces (DNS flag day 2020). */
export const UDP_PAYLOAD_BYTES_MAX = 1_232;
/** What every client takes (RFC 1035 section 4.2.1). */
const UDP_PAYLOAD_BYTES_MIN = 512;

export type RecordData =
  | { readonly type: "A" | "AAAA"; readonly address: string }
  | { readonly type: "CNAME" | "NS"; readonly target: string }
  | { readonly type: "HINFO"; readonly cpu: string }
  | { readonly type: "SOA"; readonly primary: string; readonly contact: string; readonly times: SoaTimes }
  | HttpsData;

export interface SoaTimes {
  readonly serial: number;
  readonly refreshSeconds: number;
  readonly retrySeconds: number;
  readonly expireSeconds: number;
  /** How long it is believed that something is not there (RFC 2308 section 4). */
  readonly negativeSeconds: number;
}

/** Of the owner itself, in service mode (RFC 9460). */
export interface HttpsData {
  readonly type: "HTTPS";
  readonly priority: number;
  readonly alpn: readonly string[];
  /** `undefined`: 443. */
  readonly port: number | undefined;
  readonly ipv4: readonly string[];
  readonly ipv6: readonly string[];
}

export interface DnsRecord {
  readonly owner: string;
  readonly ttlSeconds: number;
  readonly data: RecordData;
}

export interface DnsAnswer {
  readonly rcode: Rcode;
  readonly isAuthoritative: boolean;
  readonly answers: readonly DnsRecord[];
  readonly authority: readonly DnsRecord[];
  readonly additional: readonly DnsRecord[];
  /** How much of the client's network it depended on; `undefined`: nothing is said of it. */
  readonly scopePrefixLength: number | undefined;
}

/** Of a datagram. */
export function payloadBytesOf({ edns }: DnsQuery): number {
  return Math.min(UDP_PAYLOAD_BYTES_MAX, Math.max(UDP_PAYLOAD_BYTES_MIN, edns?.payloadBytes ?? 0));
}

/** To what has no question that can be read. */
export function writeFault(head: QueryHead, rcode: Rcode): Buffer {
  const counts = Buffer.alloc(HEADER_OCTETS - 4);
  return Buffer.concat([
    sixteen(head.id),
    flagsOf(head, { rcode, isAuthoritative: false, isTruncated: false }),
    counts,
  ]);
}

/** Where it takes more than `bytesMax`, or is to be asked for by TCP, none of its records. */
export function writeResponse(
  query: DnsQuery,
  answer: DnsAnswer,
  bytesMax: number,
  onTruncated: () => void = () => {},
): Buffer {
  const whole = assemble(query, answer, false);
  if (whole.length <= bytesMax) return whole;
  onTruncated();
  return writeTruncated(query, answer);
}

/** No longer than the query: whoever gave another's address for its own gains nothing. */
export function writeTruncated(query: DnsQuery, answer: Pick<DnsAnswer, "rcode" | "isAuthoritative">): Buffer {
  const empty = { answers: [], authority: [], additional: [], scopePrefixLength: undefined };
  return assemble(query, { ...answer, ...empty }, true);
}

function assemble({ head, question, edns }: DnsQuery, answer: DnsAnswer, isTruncated: boolean): Buffer {
  const { rcode, isAuthoritative, answers, authority, additional } = answer;
  const parts = new MessageParts(question.suffixes);
  const opt = edns === undefined ? [] : [optRecord(edns, answer)];
  parts.add(sixteen(head.id), flagsOf(head, { rcode, isAuthoritative, isTruncated }));
  const counts = [1, answers.length, authority.length, additional.length + opt.length];
  parts.add(...counts.map(sixteen), question.bytes);
  for (const record of [...answers, ...authority, ...additional]) addRecord(parts, record);
  parts.add(...opt);
  return parts.concat();
}

interface Outcome {
  readonly rcode: Rcode;
  readonly isAuthoritative: boolean;
  readonly isTruncated: boolean;
}

function flagsOf(head: QueryHead, { rcode, isAuthoritative, isTruncated }: Outcome): Buffer {
  return sixteen(
    0x8000 |
      (head.opcode << 11) |
      (isAuthoritative ? 0x0400 : 0) |
      (isTruncated ? 0x0200 : 0) |
      (head.recursionDesired ? 0x0100 : 0) |
      (head.checkingDisabled ? 0x0010 : 0) |
      (RCODES[rcode] & 15),
  );
}

function optRecord(edns: NonNullable<DnsQuery["edns"]>, { rcode, scopePrefixLength }: DnsAnswer): Buffer {
  const { clientSubnet } = edns;
  const isTold = clientSubnet !== undefined && scopePrefixLength !== undefined;
  const options = isTold ? clientSubnetOption(clientSubnet, scopePrefixLength) : Buffer.alloc(0);
  const flags = Buffer.of(RCODES[rcode] >>> 4, 0, 0, 0);
  return Buffer.concat([
    ...[Buffer.of(0), sixteen(RECORD_TYPES.OPT), sixteen(UDP_PAYLOAD_BYTES_MAX)],
    ...[flags, sixteen(options.length), options],
  ]);
}

function addRecord(parts: MessageParts, { owner, ttlSeconds, data }: DnsRecord): void {
  parts.addName(owner);
  parts.add(sixteen(RECORD_TYPES[data.type]), sixteen(CLASS_IN), thirtyTwo(ttlSeconds));
  const length = Buffer.alloc(2);
  parts.add(length);
  const before = parts.length;
  addData(parts, data);
  length.writeUInt16BE(parts.length - before);
}

function addData(parts: MessageParts, data: RecordData): void {
  switch (data.type) {
    case "A":
    case "AAAA":
      parts.add(octetsOf(data.address) ?? Buffer.alloc(0));
      break;
    case "CNAME":
    case "NS":
      parts.addName(data.target);
      break;
    case "HINFO":
      parts.add(lengthed(data.cpu), lengthed(""));
      break;
    case "SOA": {
      const { serial, refreshSeconds, retrySeconds, expireSeconds, negativeSeconds } = data.times;
      parts.addName(data.primary);
      parts.addName(data.contact);
      parts.add(...[serial, refreshSeconds, retrySeconds, expireSeconds, negativeSeconds].map(thirtyTwo));
      break;
    }
    case "HTTPS":
      parts.add(sixteen(data.priority), plainName(""), ...serviceParameters(data));
      break;
  }
}

/** In the order of their keys (RFC 9460 section 2.2): alpn, port, ipv4hint, ipv6hint. */
function serviceParameters({ alpn, port, ipv4, ipv6 }: HttpsData): readonly Buffer[] {
  const values: readonly (readonly [number, readonly Buffer[]])[] = [
    [1, alpn.map(lengthed)],
    [3, port === undefined ? [] : [sixteen(port)]],
    [4, ipv4.flatMap((address) => octetsOf(address) ?? [])],
    [6, ipv6.flatMap((address) => octetsOf(address) ?? [])],
  ];
  return values.flatMap(([key, value]) => {
    const octets = Buffer.concat(value);
    return octets.length === 0 ? [] : [sixteen(key), sixteen(octets.length), octets];
  });
}

function lengthed(text: string): Buffer {
  return Buffer.concat([Buffer.of(text.length), Buffer.from(text, "latin1")]);
}
