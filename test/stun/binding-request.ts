/** A connectivity check as a client sends it (RFC 8445 section 7.2.4), for tests. */
import { createHmac } from "node:crypto";
import { crc32 } from "node:zlib";
import type { StunCredentials } from "#platform/stun/binding.ts";

const HEADER_BYTES = 20;

export function bindingRequest({ fragment, password }: StunCredentials, transaction = Buffer.alloc(12, 7)): Buffer {
  const header = Buffer.concat([Buffer.from("000100002112a442", "hex"), transaction]);
  const user = Buffer.from(`${fragment}:me`);
  const named = withAttribute(header, 0x0006, user);
  const counted = withLength(named, 24);
  const sealed = withAttribute(named, 0x0008, createHmac("sha1", password).update(counted).digest());
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE((crc32(withLength(sealed, 8)) ^ 0x5354_554e) >>> 0);
  return withLength(withAttribute(sealed, 0x8028, sum), 0);
}

function withAttribute(message: Buffer, type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(value.byteLength, 2);
  return Buffer.concat([message, head, value, Buffer.alloc((4 - (value.byteLength % 4)) % 4)]);
}

function withLength(message: Buffer, more: number): Buffer {
  const counted = Buffer.from(message);
  counted.writeUInt16BE(message.byteLength - HEADER_BYTES + more, 2);
  return counted;
}
