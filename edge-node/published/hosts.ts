/** Which site a request is for, by its Host field: a site's own name, or `SITE.NODE` at this node. Pure. */
import { parseHostName } from "#domain/ids.ts";

export interface HostTable {
  /** `undefined` where no site has the name. */
  siteOf(host: string | undefined): string | undefined;
}

const PORT = /:\d{1,5}$/;

/** RFC 9112 section 3.2: which site would it be for. `raw` is Node's flat list of names and values. */
export function hasSeveralHosts(raw: readonly string[]): boolean {
  let hosts = 0;
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index];
    if (name?.length === 4 && name.toLowerCase() === "host") hosts += 1;
  }
  return hosts > 1;
}

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
