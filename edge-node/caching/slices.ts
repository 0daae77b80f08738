/** Slices of a representation: what a range on a miss fetches instead of the whole. Pure. */
import { parseHttpDate } from "#domain/http/date.ts";
import { type Fields, fieldValue } from "#domain/http/fields.ts";

/** A range moves at most this beyond what it asks for, at each end. */
export const SLICE_BYTES = 256 * 1024;

/** What Content-Range says of a part (RFC 9110 section 14.4). */
export interface ContentRange {
  readonly start: number;
  /** Last byte, included. */
  readonly last: number;
  readonly sizeBytes: number;
}

const CONTENT_RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/;

/** `undefined` where the size is not known, or for what is none. */
export function parseContentRange(fields: Fields): ContentRange | undefined {
  const [, ...texts] = CONTENT_RANGE.exec(fieldValue(fields, "content-range") ?? "") ?? [];
  const [start = 0, last = 0, sizeBytes = 0] = texts.map(Number);
  return texts.length === 3 && start <= last && last < sizeBytes ? { start, last, sizeBytes } : undefined;
}

export function sliceOf(position: number): number {
  return Math.floor(position / SLICE_BYTES);
}

/** What the upstream is asked for. */
export function rangeFieldOf(slice: number): string {
  return `bytes=${slice * SLICE_BYTES}-${(slice + 1) * SLICE_BYTES - 1}`;
}

/** Whether a part is the whole of the slice, the last one of a representation included. */
export function isSlice({ start, last, sizeBytes }: ContentRange, slice: number): boolean {
  const from = slice * SLICE_BYTES;
  return start === from && last === Math.min(sizeBytes, from + SLICE_BYTES) - 1;
}

/** Whether two slices are of one representation: by one strong validator, and the size. */
export function isSameRepresentation(a: Fields, b: Fields): boolean {
  if (parseContentRange(a)?.sizeBytes !== parseContentRange(b)?.sizeBytes) return false;
  const [tag, other] = [fieldValue(a, "etag"), fieldValue(b, "etag")];
  if (tag !== undefined || other !== undefined) return tag === other && tag?.startsWith("W/") === false;
  const modifiedMs = strongDateMs(a);
  return modifiedMs !== undefined && modifiedMs === strongDateMs(b);
}

/** What is modified within a second of its date may be modified again in that second; clocks differ by some more. */
const STRONG_DATE_MS_MIN = 60_000;

/** The date of modification where it tells representations apart (RFC 9110 section 8.8.2.2). */
export function strongDateMs(fields: Fields): number | undefined {
  const dateMs = parseHttpDate(fieldValue(fields, "date") ?? "", 0);
  const modifiedMs = parseHttpDate(fieldValue(fields, "last-modified") ?? "", 0);
  const isStrong = dateMs !== undefined && modifiedMs !== undefined && dateMs - modifiedMs >= STRONG_DATE_MS_MIN;
  return isStrong ? modifiedMs : undefined;
}

/** Whether slices of it can be told from those of another. */
export function hasSliceValidator(fields: Fields): boolean {
  return isSameRepresentation(fields, fields);
}
