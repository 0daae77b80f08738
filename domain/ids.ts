/** The grammar of names: what may stand in `metadata.name`, in a certificate and in a host name. Pure. */
import { Failure } from "./failure.ts";

/** A DNS label (RFC 1123 section 2.1): resource names become host names and paths. */
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Names of releases are `SITE.GENERATION`, of purges, revocations and tombstones a label with dots. */
const DOTTED_NAME = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/;

/** RFC 1035 section 2.3.4. */
export const HOST_NAME_LENGTH_MAX = 253;

export const NAME_PATTERN: string = NAME.source;
export const DOTTED_NAME_PATTERN: string = DOTTED_NAME.source;

export function isName(text: string): boolean {
  return NAME.test(text);
}

/** Throws `argument-invalid` naming `what`. */
export function parseName(text: string, what: string): string {
  if (isName(text)) return text;
  throw new Failure(
    "argument-invalid",
    `${what} must be a DNS label (a-z, 0-9, '-', at most 63 characters), got ${JSON.stringify(text)}`,
  );
}

/** A host name without port, in lower case; `undefined` when it is none (RFC 1123 section 2.1). */
export function parseHostName(text: string): string | undefined {
  const host = text.toLowerCase();
  if (host.length === 0 || host.length > HOST_NAME_LENGTH_MAX) return undefined;
  return host.split(".").every(isName) ? host : undefined;
}
