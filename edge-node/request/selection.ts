/** Decides which part of a representation answers a request: conditions and ranges (RFC 9110 sections 13 and 14). Pure. */
import { parseHttpDate } from "#domain/http/date.ts";
import { ifNoneMatchNames, matchesStrongly } from "#domain/http/entity-tag.ts";
import { type Fields, fieldValue } from "#domain/http/fields.ts";
import { type RangesDecision, resolveRanges } from "#domain/http/range.ts";
import { strongDateMs } from "../caching/slices.ts";
import type { EdgeRequest } from "./edge-request.ts";

export type Selection = RangesDecision | { readonly kind: "not-modified" };

/** `sizeBytes` is `undefined` while the length is not known: then the answer is the whole. */
export function decideSelection(
  request: EdgeRequest,
  response: { readonly status: number; readonly fields: Fields; readonly sizeBytes: number | undefined },
  nowMs: number,
): Selection {
  // Section 13.2.1: of other methods they are the upstream's to evaluate.
  const isRead = request.method === "GET" || request.method === "HEAD";
  if (response.status !== 200 || !isRead) return { kind: "whole" };
  if (isNotModified(request.fields, response.fields, nowMs)) return { kind: "not-modified" };
  const isForRange = request.method === "GET" && response.sizeBytes !== undefined;
  if (!isForRange || !fitsIfRange(request.fields, response.fields, nowMs)) return { kind: "whole" };
  return resolveRanges(fieldValue(request.fields, "range"), response.sizeBytes);
}

export function isNotModified(asked: Fields, fields: Fields, nowMs: number): boolean {
  const tags = fieldValue(asked, "if-none-match");
  if (tags !== undefined) return ifNoneMatchNames(tags, fieldValue(fields, "etag"));
  const sinceMs = parseHttpDate(fieldValue(asked, "if-modified-since") ?? "", nowMs);
  const modifiedMs = parseHttpDate(fieldValue(fields, "last-modified") ?? "", nowMs);
  return sinceMs !== undefined && modifiedMs !== undefined && modifiedMs <= sinceMs;
}

/** Section 13.1.5: a strong tag, or exactly the date that was given where that is strong. */
export function fitsIfRange(asked: Fields, fields: Fields, nowMs: number): boolean {
  const condition = fieldValue(asked, "if-range");
  if (condition === undefined) return true;
  if (condition.includes('"')) return matchesStrongly(condition, fieldValue(fields, "etag") ?? "");
  const dateMs = parseHttpDate(condition, nowMs);
  return dateMs !== undefined && dateMs === strongDateMs(fields);
}
