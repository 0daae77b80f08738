/** Reads what a client sends to an authoritative server: one question and what EDNS says; all else is refused. Pure. */
import { type ClientSubnet, readClientSubnet } from "./client-subnet.ts";
import { OPTION_CLIENT_SUBNET, RECORD_TYPES } from "./codes.ts";
import { readName, skipName } from "./names.ts";

export const HEADER_OCTETS = 12;
/** A question and some options are a tenth of it. */
export const QUERY_BYTES_MAX = 4_096;
/** OPT, and a signature that nobody here can check. */
const ADDITIONAL_RECORDS_MAX = 4;
const OPTIONS_MAX = 32;

const FLAG_RESPONSE = 0x8000;
const OPCODE_QUERY = 0;

export interface QueryHead {
  readonly id: number;
  readonly opcode: number;
  readonly recursionDesired: boolean;
  readonly checkingDisabled: boolean;
}

export interface Question {
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** The section as it came: letters keep their case. */
  readonly bytes: Buffer;
  readonly suffixes: ReadonlyMap<string, number>;
}

export interface Edns {
  readonly version: number;
  /** What the client takes in a datagram. */
  readonly payloadBytes: number;
  readonly clientSubnet: ClientSubnet | undefined;
}

export interface DnsQuery {
  readonly head: QueryHead;
  readonly question: Question;
  readonly edns: Edns | undefined;
}

export type ReadQuery =
  | { readonly kind: "query"; readonly query: DnsQuery }
  | { readonly kind: "faulty"; readonly head: QueryHead; readonly rcode: "FORMERR" | "NOTIMP" }
  /** An answer to it could go round for ever, or nobody waits for one. */
  | { readonly kind: "ignored"; readonly because: "short" | "response" };

export function readQuery(bytes: Buffer): ReadQuery {
  if (bytes.length < HEADER_OCTETS) return { kind: "ignored", because: "short" };
  const flags = bytes.readUInt16BE(2);
  if ((flags & FLAG_RESPONSE) !== 0) return { kind: "ignored", because: "response" };
  const head = {
    id: bytes.readUInt16BE(0),
    opcode: (flags >>> 11) & 15,
    recursionDesired: (flags & 0x0100) !== 0,
    checkingDisabled: (flags & 0x0010) !== 0,
  };
  if (head.opcode !== OPCODE_QUERY) return { kind: "faulty", head, rcode: "NOTIMP" };
  const [questions, answers, authorities, additional] = [4, 6, 8, 10].map((at) => bytes.readUInt16BE(at));
  // RFC 9619: of questions there is one.
  const isPlain = questions === 1 && answers === 0 && authorities === 0;
  const question = isPlain ? readQuestion(bytes) : undefined;
  if (question === undefined) return { kind: "faulty", head, rcode: "FORMERR" };
  const edns = readAdditional(bytes, HEADER_OCTETS + question.bytes.length, additional ?? 0);
  if (edns === "faulty") return { kind: "faulty", head, rcode: "FORMERR" };
  return { kind: "query", query: { head, question, edns } };
}

function readQuestion(bytes: Buffer): Question | undefined {
  const read = readName(bytes, HEADER_OCTETS);
  if (read === undefined || read.end + 4 > bytes.length) return undefined;
  const { name, suffixes, end } = read;
  return {
    ...{ name, suffixes, type: bytes.readUInt16BE(end), class: bytes.readUInt16BE(end + 2) },
    bytes: Buffer.from(bytes.subarray(HEADER_OCTETS, end + 4)),
  };
}

/** What the one OPT record says; every record is walked, and the message ends with the last. */
function readAdditional(bytes: Buffer, start: number, count: number): Edns | undefined | "faulty" {
  if (count > ADDITIONAL_RECORDS_MAX) return "faulty";
  let edns: Edns | undefined;
  let at = start;
  for (let index = 0; index < count; index += 1) {
    const fixed = skipName(bytes, at);
    if (fixed === undefined || fixed + 10 > bytes.length) return "faulty";
    const end = fixed + 10 + bytes.readUInt16BE(fixed + 8);
    if (end > bytes.length) return "faulty";
    if (bytes.readUInt16BE(fixed) === RECORD_TYPES.OPT) {
      // Of the root, and once (RFC 6891 section 6.1.1).
      if (fixed !== at + 1 || edns !== undefined) return "faulty";
      const read = readOpt(bytes.subarray(fixed + 2, end));
      if (read === undefined) return "faulty";
      edns = read;
    }
    at = end;
  }
  return at === bytes.length ? edns : "faulty";
}

/** From the class on: payload size, extended code and flags, length, options. */
function readOpt(record: Buffer): Edns | undefined {
  const payloadBytes = record.readUInt16BE(0);
  const version = record.readUInt8(3);
  // What options of another version look like is not for this one to say.
  if (version !== 0) return { version, payloadBytes, clientSubnet: undefined };
  let clientSubnet: ClientSubnet | undefined;
  let at = 8;
  for (let count = 0; at < record.length; count += 1) {
    if (count === OPTIONS_MAX || at + 4 > record.length) return undefined;
    const end = at + 4 + record.readUInt16BE(at + 2);
    if (end > record.length) return undefined;
    if (record.readUInt16BE(at) === OPTION_CLIENT_SUBNET) {
      const read = readClientSubnet(record.subarray(at + 4, end));
      if (read === undefined || clientSubnet !== undefined) return undefined;
      clientSubnet = read;
    }
    at = end;
  }
  return { version, payloadBytes, clientSubnet };
}
