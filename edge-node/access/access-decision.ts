/** Decides whether a request may have what it asks for: signed URLs and cookies. Pure, where `isProof` is. */
import {
  parseSignature,
  SIGNED_LIFETIME_SECONDS_MAX,
  type Signature,
  splitCookies,
  splitTarget,
  statementOf,
} from "#domain/access/signed-url.ts";
import type { Fields } from "#domain/http/fields.ts";
import { matchesPattern, plainPath } from "#domain/http/plain-path.ts";

/** How far this node's clock may be ahead of a signer's. */
export const CLOCK_SKEW_SECONDS_MAX = 5;
/** In a URL and in cookies of several paths; further ones are not looked at. */
export const SIGNATURES_TRIED_MAX = 4;

/** Whose signatures count for a site, and where one is needed. */
export interface SignedAccess {
  readonly site: string;
  /** As `plainPath` writes them; a prefix ends in `*`. */
  readonly paths: readonly string[];
  /** Takes the same time for every wrong proof of a key that is secret. */
  readonly isProof: (keyId: string, statement: string, proof: string) => boolean;
}

export interface AccessRequest {
  readonly target: string;
  readonly fields: Fields;
  /** As `clientOf` writes it. */
  readonly client: string;
}

/** What a user agent is told; nothing of it says which keys there are or what a signature would have to be. */
export type AccessRefusal = "signature-missing" | "signature-invalid" | "signature-expired";

export type AccessDecision =
  /** `target` and `fields` are without signatures: key, variants and the upstream's request are made of them. */
  | { readonly kind: "allowed"; readonly target: string; readonly fields: Fields }
  | { readonly kind: "refused"; readonly why: AccessRefusal };

/** Without `access` everything is allowed as it is. */
export function decideAccess(request: AccessRequest, access: SignedAccess | undefined, nowMs: number): AccessDecision {
  if (access === undefined) return { kind: "allowed", target: request.target, fields: request.fields };
  const split = splitTarget(request.target);
  if (split === undefined) return { kind: "refused", why: "signature-missing" };
  const cookies = splitCookies(request.fields.get("cookie") ?? []);
  const allowed = { kind: "allowed", target: split.target, fields: withoutCookies(request.fields, cookies) } as const;
  if (!needsSignature(split.path, access.paths)) return allowed;
  const given = [...split.signatures, ...cookies.signatures].slice(0, SIGNATURES_TRIED_MAX);
  const asked = { ...split, client: request.client };
  const judged = given.map((text) => judge(parseSignature(text), asked, access, nowMs));
  if (judged.includes("valid")) return allowed;
  if (judged.includes("signature-expired")) return { kind: "refused", why: "signature-expired" };
  return { kind: "refused", why: given.length === 0 ? "signature-missing" : "signature-invalid" };
}

/** A path that another server may read as one of these needs a signature too. */
function needsSignature(path: string, patterns: readonly string[]): boolean {
  const plain = plainPath(path);
  return plain === undefined ? patterns.length > 0 : patterns.some((pattern) => matchesPattern(plain, pattern));
}

/** The proof first: who cannot sign learns nothing of the rest. */
function judge(
  signature: Signature | undefined,
  { path, target, client }: { readonly path: string; readonly target: string; readonly client: string },
  { site, isProof }: SignedAccess,
  nowMs: number,
): "valid" | Exclude<AccessRefusal, "signature-missing"> {
  if (signature === undefined || !isProof(signature.keyId, statementOf(site, target, signature), signature.proof)) {
    return "signature-invalid";
  }
  const leftSeconds = signature.expiresAtSeconds - nowMs / 1000;
  if (leftSeconds < -CLOCK_SKEW_SECONDS_MAX) return "signature-expired";
  const isFor = signature.client === undefined || signature.client === client;
  const isWithin = leftSeconds <= SIGNED_LIFETIME_SECONDS_MAX + CLOCK_SKEW_SECONDS_MAX;
  return isFor && isWithin && covers(signature.prefix, path) ? "valid" : "signature-invalid";
}

function covers(prefix: string | undefined, path: string): boolean {
  if (prefix === undefined) return true;
  const plainPrefix = plainPath(prefix);
  return plainPrefix !== undefined && plainPath(path)?.startsWith(plainPrefix) === true;
}

function withoutCookies(
  fields: Fields,
  { others, signatures }: { readonly others: readonly string[]; readonly signatures: readonly string[] },
): Fields {
  if (signatures.length === 0) return fields;
  const kept = new Map(fields);
  if (others.length === 0) kept.delete("cookie");
  else kept.set("cookie", others);
  return kept;
}
