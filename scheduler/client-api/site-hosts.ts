/** Which site a request to the steering listener is for, by its Host field. Pure. */
import { parseHostName } from "#domain/ids.ts";
import type { DesiredView } from "../facts/desired-view.ts";

const PORT = /:\d{1,5}$/;
const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/;

/** A host name of a Site, or `SITE.STEERING` where the scheduler is reached by the name STEERING; undefined: the API itself. */
export function findSiteOfHost(
  { sites, siteByHostname }: Pick<DesiredView, "sites" | "siteByHostname">,
  host: string | undefined,
  clientUrl: string,
): string | undefined {
  const name = parseHostName((host ?? "").replace(PORT, ""));
  if (name === undefined) return undefined;
  const own = siteByHostname.get(name);
  if (own !== undefined) return own;
  const { hostname: steering } = new URL(clientUrl);
  if (IPV4.test(steering) || !name.endsWith(`.${steering}`)) return undefined;
  const site = name.slice(0, -steering.length - 1);
  return sites.has(site) ? site : undefined;
}

/** Path and query of a request target, also where it came in absolute form (RFC 9112 section 3.2.2). */
export function pathAndQueryOf(target: string): string {
  if (target.startsWith("/")) return target;
  const parsed = URL.parse(target);
  return parsed === null ? "/" : `${parsed.pathname}${parsed.search}`;
}
