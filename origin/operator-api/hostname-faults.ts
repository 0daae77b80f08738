/** Which host names of a request's sites another site holds: an edge answers each name for one site only. Pure. */
import type { SiteSpec } from "#domain/content/site.ts";
import type { Fault } from "#domain/schema-faults.ts";

export interface NamedSite {
  readonly name: string;
  readonly spec: Pick<SiteSpec, "hostnames">;
}

/** Of each asked site its faults; `stored` sites that are asked for hold what the request gives them. */
export function hostnameFaults(
  asked: readonly NamedSite[],
  stored: readonly NamedSite[],
): readonly (readonly Fault[])[] {
  const changed = new Set(asked.map(({ name }) => name));
  const holders = new Map<string, string>();
  for (const site of stored) if (!changed.has(site.name)) hold(holders, site);
  return asked.map((site) => {
    const faults = faultsOf(site, holders);
    hold(holders, site);
    return faults;
  });
}

function faultsOf({ name, spec }: NamedSite, holders: ReadonlyMap<string, string>): readonly Fault[] {
  return spec.hostnames.flatMap((hostname, index) => {
    const holder = holders.get(hostname.toLowerCase());
    if (holder === undefined || holder === name) return [];
    const message = `spec.hostnames[${index}] must be of one site only: ${hostname} is held by Site ${holder}, take it from there first`;
    return [{ pointer: `/spec/hostnames/${index}`, message }];
  });
}

/** RFC 9110 section 4.2.3: host names are compared without case. The first that holds a name keeps it. */
function hold(holders: Map<string, string>, { name, spec }: NamedSite): void {
  for (const hostname of spec.hostnames.map((given) => given.toLowerCase())) {
    if (!holders.has(hostname)) holders.set(hostname, name);
  }
}
