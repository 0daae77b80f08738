/** Byte ranges (RFC 9110 section 14). Pure. */
import { listMembers } from "./fields.ts";

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

export type RangesDecision = RangeDecision | { readonly kind: "parts"; readonly ranges: readonly ResolvedRange[] };

/** First and last byte as they were asked for: `undefined` where the range is open at that end. */
export interface AskedRange {
  readonly first: number | undefined;
  readonly last: number | undefined;
}

/** Nobody needs more at once; RFC 9110 section 14.2 lets a server answer them with the whole. */
export const RANGES_MAX = 16;

const RANGES = /^bytes=(.*)$/is;
const BYTE_RANGE = /^(\d*)-(\d*)$/;
/** Digits beyond these are beyond every size. */
const DIGITS_MAX = 15;

/** The one range that a field asks for; `undefined` for several, none, or what is malformed. */
export function parseRange(value: string | undefined): AskedRange | undefined {
  const asked = parseRanges(value);
  return asked.length === 1 ? asked[0] : undefined;
}

/** For a representation of `sizeBytes`; several ranges are answered with the whole (section 14.2). */
export function resolveRange(value: string | undefined, sizeBytes: number): RangeDecision {
  const decision = resolveRanges(value, sizeBytes);
  return decision.kind === "parts" ? { kind: "whole" } : decision;
}

/** Several ranges in the order of their bytes, those that touch joined (section 15.3.7.2). */
export function resolveRanges(value: string | undefined, sizeBytes: number): RangesDecision {
  const asked = parseRanges(value);
  if (asked.length === 0) return { kind: "whole" };
  const ranges = asked.flatMap((range) => resolve(range, sizeBytes) ?? []).sort((a, b) => a.start - b.start);
  const [first, ...others] = ranges.reduce(joined, []);
  if (first === undefined) return { kind: "unsatisfiable" };
  return others.length === 0 ? { kind: "part", range: first } : { kind: "parts", ranges: [first, ...others] };
}

/** Empty for what is to be ignored. */
function parseRanges(value: string | undefined): readonly AskedRange[] {
  const members = listMembers(RANGES.exec(value ?? "")?.[1] ?? "");
  if (members.length > RANGES_MAX) return [];
  const ranges = members.map((member) => {
    const [, first = "", last = ""] = BYTE_RANGE.exec(member) ?? [];
    return { first: positionOf(first), last: positionOf(last) };
  });
  const isMeant = ({ first, last }: AskedRange) =>
    (first !== undefined || last !== undefined) && (first === undefined || last === undefined || first <= last);
  return ranges.every(isMeant) ? ranges : [];
}

function resolve({ first, last }: AskedRange, sizeBytes: number): ResolvedRange | undefined {
  if (first === undefined)
    return last === 0 || sizeBytes === 0
      ? undefined
      : { start: Math.max(0, sizeBytes - (last ?? sizeBytes)), end: sizeBytes - 1 };
  return first >= sizeBytes ? undefined : { start: first, end: Math.min(last ?? sizeBytes, sizeBytes - 1) };
}

function joined(ranges: readonly ResolvedRange[], next: ResolvedRange): readonly ResolvedRange[] {
  const before = ranges.at(-1);
  if (before === undefined || next.start > before.end + 1) return [...ranges, next];
  return [...ranges.slice(0, -1), { start: before.start, end: Math.max(before.end, next.end) }];
}

function positionOf(digits: string): number | undefined {
  if (digits === "") return undefined;
  const significant = digits.replace(/^0+(?=\d)/, "");
  return significant.length > DIGITS_MAX ? Number.MAX_SAFE_INTEGER : Number(significant);
}
