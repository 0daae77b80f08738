/**
 * STUN binding with short-term credentials, as connectivity checks of ICE use it: reads requests and writes answers, or
 * says why not. Pure (RFC 8489; a check has a fingerprint and SHA-1 integrity, RFC 8445 sections 7.1 and 7.2).
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { crc32 } from "node:zlib";
import { type IpAddress, parseIp } from "#domain/ip-networks.ts";

const HEADER_BYTES = 20;
const ATTRIBUTE_HEADER_BYTES = 4;
const MAGIC_COOKIE = 0x2112_a442;
const COOKIE_AT = 4;
const BINDING_REQUEST = 0x0001;
const BINDING_SUCCESS = 0x0101;
const USERNAME = 0x0006;
const MESSAGE_INTEGRITY = 0x0008;
const XOR_MAPPED_ADDRESS = 0x0020;
const FINGERPRINT = 0x8028;
const INTEGRITY_BYTES = 20;
const FINGERPRINT_BYTES = 4;
/** "STUN" (section 14.7). */
const FINGERPRINT_XOR = 0x5354_554e;
const FAMILY = { 4: 1, 6: 2 } as const;
/** What a path without fragments carries to everybody (section 6.1); a check has a hundred. */
export const STUN_BYTES_MAX = 548;

export interface StunCredentials {
  /** The part of the user name before the colon: whose checks are answered. */
  readonly fragment: string;
  readonly password: string;
}

export type StunFault = "not-stun" | "not-a-request" | "malformed" | "unknown-user" | "integrity" | "fingerprint";

interface Attribute {
  readonly type: number;
  /** Of its header. */
  readonly at: number;
  readonly value: Buffer;
}

/** Undefined where it is a binding request for the credentials that may be answered. */
export function findFault(message: Buffer, credentials: StunCredentials): StunFault | undefined {
  const fault = findHeaderFault(message);
  if (fault !== undefined) return fault;
  const attributes = listAttributes(message);
  if (attributes === undefined) return "malformed";
  const find = (type: number) => attributes.find((attribute) => attribute.type === type);
  const [user, integrity, fingerprint] = [find(USERNAME), find(MESSAGE_INTEGRITY), find(FINGERPRINT)];
  if (user === undefined || integrity?.value.byteLength !== INTEGRITY_BYTES) return "malformed";
  if (fingerprint === undefined || !isFingerprint(message, fingerprint)) return "fingerprint";
  if (user.value.toString("utf8").split(":", 1)[0] !== credentials.fragment) return "unknown-user";
  const expected = integrityOf(message.subarray(0, integrity.at), credentials.password);
  return timingSafeEqual(expected, integrity.value) ? undefined : "integrity";
}

function findHeaderFault(message: Buffer): StunFault | undefined {
  const { byteLength } = message;
  if (byteLength < HEADER_BYTES || byteLength > STUN_BYTES_MAX) return "not-stun";
  if (message.readUInt32BE(COOKIE_AT) !== MAGIC_COOKIE) return "not-stun";
  if (message.readUInt16BE(0) !== BINDING_REQUEST) return "not-a-request";
  const isWhole = message.readUInt16BE(2) === byteLength - HEADER_BYTES && byteLength % 4 === 0;
  return isWhole ? undefined : "malformed";
}

/** Undefined where one ends beyond the message. What follows the integrity counts only as a fingerprint (section 14.5). */
function listAttributes(message: Buffer): readonly Attribute[] | undefined {
  const attributes: Attribute[] = [];
  for (let at = HEADER_BYTES; at < message.byteLength; ) {
    const type = message.readUInt16BE(at);
    const from = at + ATTRIBUTE_HEADER_BYTES;
    const to = from + message.readUInt16BE(at + 2);
    if (to > message.byteLength) return undefined;
    const isCovered = !attributes.some((attribute) => attribute.type === MESSAGE_INTEGRITY);
    if (isCovered || type === FINGERPRINT) attributes.push({ type, at, value: message.subarray(from, to) });
    at = to + padding(to - from);
  }
  return attributes;
}

function isFingerprint(message: Buffer, { at, value }: Attribute): boolean {
  const isLast = at + ATTRIBUTE_HEADER_BYTES + FINGERPRINT_BYTES === message.byteLength;
  return (
    isLast && value.byteLength === FINGERPRINT_BYTES && value.readUInt32BE(0) === fingerprintOf(message.subarray(0, at))
  );
}

/** The answer to a request without fault: where it came from, by the other end's eyes. */
export function answerBinding(
  request: Buffer,
  from: { readonly address: string; readonly port: number },
  password: string,
): Buffer {
  const address = parseIp(from.address);
  if (address === undefined) throw new TypeError(`a datagram comes from an address, got ${from.address}`);
  const transaction = request.subarray(COOKIE_AT, HEADER_BYTES);
  const mapped = xorMapped(address, from.port, transaction);
  const header = Buffer.alloc(ATTRIBUTE_HEADER_BYTES);
  header.writeUInt16BE(BINDING_SUCCESS, 0);
  const covered = Buffer.concat([header, transaction, attributeOf(XOR_MAPPED_ADDRESS, mapped)]);
  const whole = Buffer.concat([covered, attributeOf(MESSAGE_INTEGRITY, integrityOf(covered, password))]);
  const fingerprint = Buffer.alloc(FINGERPRINT_BYTES);
  fingerprint.writeUInt32BE(fingerprintOf(whole), 0);
  return withLength(Buffer.concat([whole, attributeOf(FINGERPRINT, fingerprint)]), 0);
}

/** Section 14.2: an address is hidden from whoever rewrites addresses in what passes. */
function xorMapped({ family, bits }: IpAddress, port: number, transaction: Buffer): Buffer {
  const bytes = family === 4 ? 4 : 16;
  const mapped = Buffer.alloc(4 + bytes);
  mapped.writeUInt8(FAMILY[family], 1);
  mapped.writeUInt16BE(port ^ (MAGIC_COOKIE >>> 16), 2);
  for (let index = 0; index < bytes; index += 1) {
    const byte = Number((bits >> BigInt(8 * (bytes - 1 - index))) & 0xffn);
    mapped.writeUInt8(byte ^ (transaction[index] ?? 0), 4 + index);
  }
  return mapped;
}

function attributeOf(type: number, value: Buffer): Buffer {
  const header = Buffer.alloc(ATTRIBUTE_HEADER_BYTES);
  header.writeUInt16BE(type, 0);
  header.writeUInt16BE(value.byteLength, 2);
  return Buffer.concat([header, value, Buffer.alloc(padding(value.byteLength))]);
}

const padding = (bytes: number): number => (4 - (bytes % 4)) % 4;

/** Of what is before it, with a length as if the message ended with it. */
function integrityOf(before: Buffer, password: string): Buffer {
  const counted = withLength(before, ATTRIBUTE_HEADER_BYTES + INTEGRITY_BYTES);
  return createHmac("sha1", password).update(counted).digest();
}

function fingerprintOf(before: Buffer): number {
  return (crc32(withLength(before, ATTRIBUTE_HEADER_BYTES + FINGERPRINT_BYTES)) ^ FINGERPRINT_XOR) >>> 0;
}

function withLength(message: Buffer, more: number): Buffer {
  const counted = Buffer.from(message);
  counted.writeUInt16BE(message.byteLength - HEADER_BYTES + more, 2);
  return counted;
}
