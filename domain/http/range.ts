/** Byte ranges (RFC 9110 section 14). Pure. */

export interface ResolvedRange {
  /** First byte. */
  readonly start: number;
  /** Last byte, included. */
  readonly end: number;
}

export type RangeDecision =
  /** Absent, malformed, of another unit, or of several ranges: the whole representation is the answer. */
  | { readonly kind: "whole" }
  | { readonly kind: "part"; readonly range: ResolvedRange }
  | { readonly kind: "unsatisfiable" };

const BYTE_RANGE = /^bytes=\s*(\d*)-(\d*)\s*$/i;
/** Digits beyond these are beyond every size. */
const DIGITS_MAX = 15;

/** For a representation of `sizeBytes`. A server may answer several ranges with the whole (section 14.2). */
export function resolveRange(value: string | undefined, sizeBytes: number): RangeDecision {
  const match = BYTE_RANGE.exec(value ?? "");
  const first = match?.[1] ?? "";
  const last = match?.[2] ?? "";
  if (match === null || (first === "" && last === "")) return { kind: "whole" };
  if (first === "") return suffix(positionOf(last), sizeBytes);
  const start = positionOf(first);
  const end = last === "" ? Number.POSITIVE_INFINITY : positionOf(last);
  if (end < start) return { kind: "whole" };
  if (start >= sizeBytes) return { kind: "unsatisfiable" };
  return { kind: "part", range: { start, end: Math.min(end, sizeBytes - 1) } };
}

function suffix(length: number, sizeBytes: number): RangeDecision {
  if (length === 0 || sizeBytes === 0) return { kind: "unsatisfiable" };
  return { kind: "part", range: { start: Math.max(0, sizeBytes - length), end: sizeBytes - 1 } };
}

function positionOf(digits: string): number {
  const significant = digits.replace(/^0+(?=\d)/, "");
  return significant.length > DIGITS_MAX ? Number.MAX_SAFE_INTEGER : Number(significant);
}
