/** Under which name a request of a site is keyed and passed on, whichever of its names it came by. Pure. */

/**
 * Scheme and host, without a port: a site has none. The names of the site stand for themselves; one that a node gives it
 * (`SITE.NODE`) stands for the first of them, so that either way finds one stored response.
 */
export function siteWebOrigin(webOrigin: string, hostnames: readonly string[]): string {
  const [scheme = "", authority = ""] = webOrigin.split("://");
  const name = authority.replace(PORT, "");
  const [first = name] = hostnames;
  return `${scheme}://${hostnames.some((hostname) => hostname.toLowerCase() === name) ? name : first.toLowerCase()}`;
}

const PORT = /:\d+$/;
