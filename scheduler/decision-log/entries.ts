/**
 * A segment of the decision log: a header, then entries with checksums of their own. Pure.
 *
 * The head of an entry has its own checksum, as it has the length: so bytes that are missing at the end (a write that was
 * cut short) and bytes that were changed are told apart at every place.
 */
import { crc32 } from "node:zlib";
import { RECORD_VERSION } from "#domain/placement/decision-record.ts";
import type { ByteWriter } from "./bytes.ts";

/** Of the bytes of this module; packed decisions have a version of their own beside it. */
const FORMAT_VERSION = 2;
const MAGIC = "PGDECIDE";
export const SEGMENT_HEADER_BYTES = 16;

export const ENTRY_KINDS = ["word", "pool", "session", "content", "ended"] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];

/** A decision's id without its prefix, as it was drawn. */
export const ID_BYTES = 9;
const AT_KIND = 4;
export const AT_ID = 5;
const AT_TIME = AT_ID + ID_BYTES;
const AT_BODY_CRC = AT_TIME + 8;
const AT_HEAD_CRC = AT_BODY_CRC + 4;
/** Length of the body, kind, id, time, checksums. */
export const ENTRY_HEAD_BYTES = AT_HEAD_CRC + 4;

export function segmentHeader(): Buffer {
  const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
  header.write(MAGIC, "latin1");
  header.writeUInt8(FORMAT_VERSION, 8);
  header.writeUInt8(RECORD_VERSION, 9);
  header.writeUInt32LE(crc32(header.subarray(0, 12)), 12);
  return header;
}

export interface EntryHead {
  readonly kind: EntryKind;
  /** `ID_BYTES` long. */
  readonly id: Uint8Array;
  readonly atMs: number;
}

export function writeEntry(out: ByteWriter, { kind, id, atMs }: EntryHead, body: Uint8Array): void {
  const at = out.reserve(ENTRY_HEAD_BYTES);
  const bytes = out.written;
  bytes.writeUInt32LE(body.byteLength, at);
  bytes.writeUInt8(ENTRY_KINDS.indexOf(kind), at + AT_KIND);
  bytes.set(id, at + AT_ID);
  bytes.writeDoubleLE(atMs, at + AT_TIME);
  bytes.writeUInt32LE(crc32(body), at + AT_BODY_CRC);
  bytes.writeUInt32LE(crc32(bytes.subarray(at, at + AT_HEAD_CRC)), at + AT_HEAD_CRC);
  out.append(body);
}

export interface Entry {
  readonly kind: EntryKind;
  /** In the segment. */
  readonly offset: number;
  readonly atMs: number;
  readonly bodyAt: number;
  readonly bodyEnd: number;
}

export type SegmentEnd =
  | { readonly kind: "whole" }
  /** What comes from `offset` on was not written whole. */
  | { readonly kind: "torn"; readonly offset: number }
  /** What comes from `offset` on cannot be read. */
  | { readonly kind: "corrupt"; readonly offset: number; readonly reason: string };

/** Visits the entries whose heads are as they were written; of their bodies `isBodyWhole` says it. */
export function walkEntries(bytes: Buffer, visit: (entry: Entry) => void): SegmentEnd {
  const fault = findHeaderFault(bytes);
  if (fault !== undefined) return fault;
  let offset = SEGMENT_HEADER_BYTES;
  while (offset < bytes.length) {
    const bodyAt = offset + ENTRY_HEAD_BYTES;
    if (bodyAt > bytes.length) return { kind: "torn", offset };
    const isHead = crc32(bytes.subarray(offset, offset + AT_HEAD_CRC)) === bytes.readUInt32LE(offset + AT_HEAD_CRC);
    // A file that was made longer before its bytes came has zeros there.
    if (!isHead && isZero(bytes, offset)) return { kind: "torn", offset };
    const kind = ENTRY_KINDS[bytes.readUInt8(offset + AT_KIND)];
    if (!isHead || kind === undefined) return { kind: "corrupt", offset, reason: "an entry's head was changed" };
    const bodyEnd = bodyAt + bytes.readUInt32LE(offset);
    if (bodyEnd > bytes.length) return { kind: "torn", offset };
    visit({ kind, offset, atMs: bytes.readDoubleLE(offset + AT_TIME), bodyAt, bodyEnd });
    offset = bodyEnd;
  }
  return { kind: "whole" };
}

export function isBodyWhole(bytes: Buffer, { offset, bodyAt, bodyEnd }: Entry): boolean {
  return crc32(bytes.subarray(bodyAt, bodyEnd)) === bytes.readUInt32LE(offset + AT_BODY_CRC);
}

function findHeaderFault(bytes: Buffer): SegmentEnd | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES || isZero(bytes, 0)) return { kind: "torn", offset: 0 };
  const isOurs = bytes.toString("latin1", 0, 8) === MAGIC && crc32(bytes.subarray(0, 12)) === bytes.readUInt32LE(12);
  if (!isOurs) return { kind: "corrupt", offset: 0, reason: "it does not begin as a decision log does" };
  const [format, record] = [bytes.readUInt8(8), bytes.readUInt8(9)];
  if (format === FORMAT_VERSION && record === RECORD_VERSION) return undefined;
  const reason = `it is of format ${format}.${record}, and this program reads ${FORMAT_VERSION}.${RECORD_VERSION}`;
  return { kind: "corrupt", offset: 0, reason };
}

function isZero(bytes: Buffer, from: number): boolean {
  return bytes.subarray(from).every((byte) => byte === 0);
}
