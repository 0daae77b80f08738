/** Which site a request is for, by its Host field: a site's own name, or `SITE.NODE` at this node. Pure. */
import { parseHostName } from "#domain/ids.ts";

export interface HostTable {
  /** `undefined` where no site has the name. */
  siteOf(host: string | undefined): string | undefined;
}

const PORT = /:\d{1,5}$/;

export function hostTable(
  sites: Iterable<{ readonly name: string; readonly spec: { readonly hostnames: readonly string[] } }>,
  nodeHostname: string,
): HostTable {
  const table = new Map<string, string>();
  for (const { name, spec } of sites) {
    for (const hostname of spec.hostnames) table.set(hostname.toLowerCase(), name);
    table.set(`${name}.${nodeHostname.toLowerCase()}`, name);
  }
  return {
    siteOf(host) {
      const name = parseHostName((host ?? "").replace(PORT, ""));
      return name === undefined ? undefined : table.get(name);
    },
  };
}
