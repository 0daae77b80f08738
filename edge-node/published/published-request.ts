/** Decides how a published site answers a request: which file and coding of it, part, not modified, redirect, refusal. Pure. */
import type { BlobReference, Manifest, ManifestFile } from "#domain/content/release.ts";
import type { PublishedContent } from "#domain/content/site.ts";
import { CONTENT_CODINGS, type ContentCoding, negotiateEncoding } from "#domain/http/content-coding.ts";
import { ifNoneMatchNames, matchesStrongly } from "#domain/http/entity-tag.ts";
import { type Fields, fieldValue, listMembers } from "#domain/http/fields.ts";
import { type ResolvedRange, resolveRange } from "#domain/http/range.ts";

/** What of a file goes out: its content or that in a coding, which has a digest and size of its own. */
export interface Representation extends BlobReference {
  readonly mediaType: string;
  readonly fields?: Readonly<Record<string, string>>;
  readonly coding?: ContentCoding;
  /** Whether another request may get another one. */
  readonly isNegotiated: boolean;
}

export type PublishedAnswer =
  | { readonly kind: "file"; readonly file: Representation; readonly status: 200 | 404 }
  | { readonly kind: "part"; readonly file: Representation; readonly range: ResolvedRange }
  | { readonly kind: "unsatisfiable"; readonly file: Representation }
  | { readonly kind: "not-modified"; readonly file: Representation }
  | { readonly kind: "precondition-failed" }
  | { readonly kind: "redirect"; readonly location: string }
  | { readonly kind: "not-found" }
  | { readonly kind: "bad-target" }
  | { readonly kind: "method-not-allowed" };

export function entityTagOf({ digest }: Pick<BlobReference, "digest">): string {
  return `"${digest}"`;
}

export function decidePublished(
  request: { readonly method: string; readonly target: string; readonly fields: Fields },
  content: PublishedContent,
  manifest: Manifest,
): PublishedAnswer {
  if (request.method !== "GET" && request.method !== "HEAD") return { kind: "method-not-allowed" };
  const path = pathOf(request.target);
  if (path === undefined) return { kind: "bad-target" };
  const file = fileAt(manifest, path.endsWith("/") ? `${path}${content.indexDocument}` : path);
  if (file !== undefined) return selectPart(request, represent(file, request.fields));
  if (!path.endsWith("/") && fileAt(manifest, `${path}/${content.indexDocument}`) !== undefined) {
    const [raw = "", query] = request.target.split("?", 2);
    // Relative: whatever the target began with, it stays on this host.
    const last = raw.slice(raw.lastIndexOf("/") + 1);
    return { kind: "redirect", location: `./${last}/${query === undefined ? "" : `?${query}`}` };
  }
  const page = content.notFoundDocument === undefined ? undefined : fileAt(manifest, content.notFoundDocument);
  if (page === undefined) return { kind: "not-found" };
  return { kind: "file", file: represent(page, request.fields), status: 404 };
}

/**
 * What answers a simple GET or HEAD, of a path without percent signs, with 200 or 304; `undefined` where another answer is
 * due, or which one takes more to tell.
 */
export function simpleRepresentation(
  target: string,
  asked: Fields,
  content: PublishedContent,
  manifest: Manifest,
): { readonly file: ManifestFile; readonly representation: Representation } | undefined {
  const queryAt = target.indexOf("?");
  const path = queryAt < 0 ? target : target.slice(0, queryAt);
  if (path.includes("%")) return undefined;
  const file = fileAt(manifest, path.endsWith("/") ? `${path}${content.indexDocument}` : path);
  return file && { file, representation: represent(file, asked) };
}

function represent({ digest, sizeBytes, encodings, ...file }: ManifestFile, asked: Fields): Representation {
  const content = { ...file, digest, sizeBytes, isNegotiated: encodings !== undefined };
  if (encodings === undefined) return content;
  const available = CONTENT_CODINGS.filter((coding) => encodings[coding] !== undefined);
  const coding = negotiateEncoding(fieldValue(asked, "accept-encoding"), available);
  const encoded = coding === "identity" ? undefined : encodings[coding];
  return coding === "identity" || encoded === undefined ? content : { ...content, ...encoded, coding };
}

function fileAt(manifest: Manifest, path: string): ManifestFile | undefined {
  return Object.hasOwn(manifest.files, path) ? manifest.files[path] : undefined;
}

/** Percent-decoded; `undefined` where it cannot be, or is no path. */
function pathOf(target: string): string | undefined {
  const raw = /^(?:https?:\/\/[^/?#]*)?(?<path>\/[^?#]*)/i.exec(target)?.groups?.["path"];
  if (raw === undefined) return undefined;
  try {
    return decodeURIComponent(raw);
  } catch {
    return undefined;
  }
}

/** The order of RFC 9110 section 13.2.2. */
function selectPart(
  { method, fields }: { readonly method: string; readonly fields: Fields },
  file: Representation,
): PublishedAnswer {
  const tag = entityTagOf(file);
  const ifMatch = fieldValue(fields, "if-match");
  const isMatched =
    ifMatch === undefined || ifMatch.trim() === "*" || listMembers(ifMatch).some((one) => matchesStrongly(one, tag));
  if (!isMatched) return { kind: "precondition-failed" };
  const ifNoneMatch = fieldValue(fields, "if-none-match");
  if (ifNoneMatch !== undefined && ifNoneMatchNames(ifNoneMatch, tag)) return { kind: "not-modified", file };
  const ifRange = fieldValue(fields, "if-range");
  const mayRange = method === "GET" && (ifRange === undefined || matchesStrongly(ifRange, tag));
  const range = mayRange ? resolveRange(fieldValue(fields, "range"), file.sizeBytes) : { kind: "whole" as const };
  switch (range.kind) {
    case "whole":
      return { kind: "file", file, status: 200 };
    case "part":
      return { kind: "part", file, range: range.range };
    case "unsatisfiable":
      return { kind: "unsatisfiable", file };
  }
}
