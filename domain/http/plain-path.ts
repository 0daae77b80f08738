/** Paths that mean the same to every server, and patterns on them. Pure. */

/** `;` has parameters for some servers; whatever is not in this set is encoded or wrong. */
const PLAIN = /^(?:\/(?:[A-Za-z0-9._~!$&'()*+,=:@-]|%[0-9A-Fa-f]{2})*)+$/;
/** Slashes, backslashes, semicolons, controls and percent signs that are encoded: decoded once or twice they are others. */
const TREACHEROUS = /%(?:2f|5c|3b|25[0-9a-f]{2}|[01][0-9a-f]|7f)/i;

/**
 * The path with what is ASCII decoded, other octets in capitals; `undefined` where servers may read it in more than one way: dot
 * segments, empty segments within, encoded slashes, broken or doubled encoding (RFC 3986 section 6.2.2).
 */
export function plainPath(path: string): string | undefined {
  if (!PLAIN.test(path) || TREACHEROUS.test(path)) return undefined;
  const decoded = path.replace(/%(..)/g, (encoded, digits: string) => {
    const code = Number.parseInt(digits, 16);
    return code < 0x7f ? String.fromCharCode(code) : encoded.toUpperCase();
  });
  const segments = decoded.split("/").slice(1);
  const isAmbiguous = segments.some(
    (segment, index) => segment === "." || segment === ".." || (segment === "" && index < segments.length - 1),
  );
  return isAmbiguous ? undefined : decoded;
}

/** A pattern is a path as it is, or a prefix before `*`. */
export function matchesPattern(path: string, pattern: string): boolean {
  return pattern.endsWith("*") ? path.startsWith(pattern.slice(0, -1)) : path === pattern;
}
