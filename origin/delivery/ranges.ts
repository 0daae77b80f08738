/** Reads a Range field with one byte range (RFC 9110 section 14.2). Pure. */

export type RangeDecision =
  | { readonly kind: "whole" }
  /** First and last byte, inclusive. */
  | { readonly kind: "part"; readonly start: number; readonly end: number }
  | { readonly kind: "unsatisfiable" };

const RANGE = /^bytes=(\d{0,15})-(\d{0,15})$/;

/** Fields that cannot be read, and several ranges at once, are answered with the whole, as the RFC allows. */
export function decideRange(field: string | undefined, sizeBytes: number): RangeDecision {
  const [, first, last] = RANGE.exec(field ?? "") ?? [];
  if (first === undefined || last === undefined || (first === "" && last === "")) return { kind: "whole" };
  if (first === "") {
    const length = Math.min(Number(last), sizeBytes);
    return length === 0 ? { kind: "unsatisfiable" } : { kind: "part", start: sizeBytes - length, end: sizeBytes - 1 };
  }
  const start = Number(first);
  if (last !== "" && Number(last) < start) return { kind: "whole" };
  if (start >= sizeBytes) return { kind: "unsatisfiable" };
  return { kind: "part", start, end: last === "" ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1) };
}
