/** Which names a zone of sites and nodes has: sites by their host names and as `SITE.ZONE`, nodes, and sites at nodes as `SITE.NODE`. Pure. */

export type ZoneName<N> =
  | { readonly kind: "site"; readonly site: string }
  | { readonly kind: "node"; readonly node: N }
  /** Others are below it (RFC 8020). */
  | { readonly kind: "empty" }
  | { readonly kind: "absent" };

export interface ZoneIndex<N> {
  /** In lower case, both. */
  find(name: string, zone: string): ZoneName<N>;
}

export interface NamedThings<N> {
  /** Of each site its name and its host names. */
  readonly sites: Iterable<readonly [string, readonly string[]]>;
  /** By host name. */
  readonly nodes: Iterable<readonly [string, N]>;
}

export function indexZone<N>(things: NamedThings<N>): ZoneIndex<N> {
  const sites = new Set<string>();
  const siteByHostname = new Map<string, string>();
  for (const [site, hostnames] of things.sites) {
    sites.add(site);
    for (const hostname of hostnames) siteByHostname.set(hostname.toLowerCase(), site);
  }
  const nodes = new Map([...things.nodes].map(([hostname, node]) => [hostname.toLowerCase(), node]));
  const parents = new Set([...siteByHostname.keys(), ...nodes.keys()].flatMap(parentsOf));
  return {
    find(name, zone) {
      const [label = ""] = name.split(".", 1);
      const parent = name.slice(label.length + 1);
      const site = siteByHostname.get(name) ?? (parent === zone && sites.has(label) ? label : undefined);
      if (site !== undefined) return { kind: "site", site };
      const node = nodes.get(name) ?? (sites.has(label) ? nodes.get(parent) : undefined);
      if (node !== undefined) return { kind: "node", node };
      return { kind: parents.has(name) ? "empty" : "absent" };
    },
  };
}

function parentsOf(name: string): readonly string[] {
  const labels = name.split(".");
  return labels.slice(1).map((_, at) => labels.slice(at + 1).join("."));
}
