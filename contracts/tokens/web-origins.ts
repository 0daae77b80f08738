/** Whether a page may use an app token: its web origin against the token's patterns. Pure. */

/** Scheme, host with `*` for whole labels, port or `*` (RFC 6454 section 6.2 with placeholders). */
const PATTERN = /^(?<scheme>https?):\/\/(?<host>[^/:@?#]+)(?::(?<port>\d{1,5}|\*))?$/;
const DEFAULT_PORTS: Readonly<Record<string, string>> = { http: "80", https: "443" };

interface OriginParts {
  readonly scheme: string;
  readonly labels: readonly string[];
  readonly port: string;
}

/** Whether any origin could be of it: a path, or a slash at its end, makes it match nothing. */
export function isOriginPattern(text: string): boolean {
  return partsOf(text) !== undefined;
}

/** `origin` is what the browser sent; `null` and anything else that is no origin match nothing. */
export function isOriginAllowed(patterns: readonly string[], origin: string): boolean {
  const asked = partsOf(origin);
  if (asked === undefined || origin.includes("*")) return false;
  return patterns.some((pattern) => matches(partsOf(pattern), asked));
}

function matches(pattern: OriginParts | undefined, { scheme, labels, port }: OriginParts): boolean {
  if (pattern === undefined || pattern.scheme !== scheme || pattern.labels.length !== labels.length) return false;
  if (pattern.port !== "*" && pattern.port !== port) return false;
  return pattern.labels.every((label, index) => label === labels[index] || (label === "*" && labels[index] !== ""));
}

function partsOf(text: string): OriginParts | undefined {
  const groups = PATTERN.exec(text.toLowerCase())?.groups;
  const { scheme, host, port } = groups ?? {};
  if (scheme === undefined || host === undefined) return undefined;
  return { scheme, labels: host.split("."), port: port ?? DEFAULT_PORTS[scheme] ?? "" };
}
