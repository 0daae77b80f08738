/** The grammar of signed URLs and cookies: what is signed, how it is written, and what a request carries of it. Pure. */

/** Of the query parameter and of the cookie. */
export const SIGNATURE_NAME = "perigee-signature";
/** Keeps a signature from being taken for that of anything else; its number is that of the form. */
export const SIGNED_URL_CONTEXT = "perigee/signed-url/1";
/** The longest signature of the longest prefix stays below it; a longer one is not looked at. */
export const SIGNATURE_CHARACTERS_MAX = 1024;
/** A longer-lived link is content without a signature. */
export const SIGNED_LIFETIME_SECONDS_MAX = 366 * 86_400;

/** What a signer says: until when, by which key, for what, and for whom. */
export interface SignedTerms {
  readonly expiresAtSeconds: number;
  readonly keyId: string;
  /** Every path that begins with it, whatever the query; without it only the URL that was signed. */
  readonly prefix?: string;
  /** As `clientOf` writes it; without it whoever has the URL. */
  readonly client?: string;
}

export interface Signature extends SignedTerms {
  /** Base64url, without padding. */
  readonly proof: string;
}

/** What a proof is over: lines, none of which can hold a line break. `target` is path and query without the signature. */
export function statementOf(site: string, target: string, terms: SignedTerms): string {
  const scope = terms.prefix === undefined ? `url ${target}` : `prefix ${terms.prefix}`;
  return [site, terms.keyId, String(terms.expiresAtSeconds), scope, terms.client ?? ""].join("\n");
}

/**
 * `1.EXPIRES.KEY.PREFIX.CLIENT.PROOF`: of characters that no URL library and no cookie jar writes otherwise (letters,
 * digits, `-`, `_`, `*`, `.`). Prefix and client are escaped, empty where there is none.
 */
export function formatSignature({ expiresAtSeconds, keyId, prefix = "", client = "", proof }: Signature): string {
  return ["1", String(expiresAtSeconds), keyId, escapeText(prefix), escapeText(client), proof].join(".");
}

const PROOF = /^[A-Za-z0-9_-]{43,86}$/;
const SECONDS = /^[1-9]\d{0,11}$/;
const KEY_ID = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** `undefined` for whatever `formatSignature` does not write: there is one way to write a signature. */
export function parseSignature(text: string): Signature | undefined {
  if (text.length > SIGNATURE_CHARACTERS_MAX) return undefined;
  const [version, seconds = "", keyId = "", escapedPrefix = "", escapedClient = "", proof = "", ...rest] =
    text.split(".");
  if (version !== "1" || rest.length > 0 || !SECONDS.test(seconds) || !KEY_ID.test(keyId)) return undefined;
  const prefix = unescapeText(escapedPrefix);
  const client = unescapeText(escapedClient);
  if (prefix === undefined || client === undefined || !PROOF.test(proof)) return undefined;
  const parts = { ...(prefix === "" ? {} : { prefix }), ...(client === "" ? {} : { client }) };
  return { expiresAtSeconds: Number(seconds), keyId, ...parts, proof };
}

/** Each other character as `*` and two hexadecimal digits. */
function escapeText(text: string): string {
  return text.replace(/[^A-Za-z0-9_-]/g, (character) => {
    return `*${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
  });
}

const ESCAPED = /^(?:[A-Za-z0-9_-]|\*[2-7][0-9A-F])*$/;

function unescapeText(text: string): string | undefined {
  if (!ESCAPED.test(text)) return undefined;
  const plain = text.replace(/\*(..)/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
  return escapeText(plain) === text ? plain : undefined;
}

/** What a request target carries: itself without signatures, and those, as they are written. */
export interface SignedTarget {
  readonly path: string;
  /** Path and query without signatures: key and upstream request are made of it. */
  readonly target: string;
  readonly signatures: readonly string[];
}

const ABSOLUTE = /^https?:\/\/[^/?#]*(?=\/|$)/i;
const PARAMETER = `${SIGNATURE_NAME}=`;

/** `undefined` for what is neither a path nor an http URL. What else is in the query stays as it is, in its order. */
export function splitTarget(given: string): SignedTarget | undefined {
  const origin = given.startsWith("/") ? given : given.replace(ABSOLUTE, "") || "/";
  if (!origin.startsWith("/")) return undefined;
  const at = origin.indexOf("?");
  const path = at < 0 ? origin : origin.slice(0, at);
  if (at < 0 || !origin.includes(PARAMETER, at)) return { path, target: origin, signatures: [] };
  const parameters = origin.slice(at + 1).split("&");
  const signatures = parameters.filter(isSignature).map((parameter) => parameter.slice(PARAMETER.length));
  const others = parameters.filter((parameter) => !isSignature(parameter));
  return { path, target: others.length === 0 ? path : `${path}?${others.join("&")}`, signatures };
}

function isSignature(parameter: string): boolean {
  return parameter.startsWith(PARAMETER);
}

export interface SignedCookies {
  /** The Cookie field's lines without signatures; empty where nothing else was in them. */
  readonly others: readonly string[];
  readonly signatures: readonly string[];
}

/** Of the lines of a Cookie field (RFC 6265 section 4.2.1). */
export function splitCookies(lines: readonly string[]): SignedCookies {
  const signatures: string[] = [];
  const others = lines.map((line) => {
    if (!line.includes(PARAMETER)) return line;
    const kept = line.split(";").filter((pair) => {
      const cookie = pair.trim();
      if (isSignature(cookie)) signatures.push(cookie.slice(PARAMETER.length));
      return !isSignature(cookie);
    });
    return kept.join(";").trim();
  });
  return { others: others.filter((line) => line !== ""), signatures };
}

/** The same URL with a signature behind what its query has. */
export function withSignature(target: string, signature: Signature): string {
  return `${target}${target.includes("?") ? "&" : "?"}${PARAMETER}${formatSignature(signature)}`;
}
