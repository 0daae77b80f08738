/** What a pool's edges answer new users while they are cut off. Pure. */

export interface SteeringEntry {
  readonly node: string;
  readonly pool: string;
  readonly contentUrl: string;
  readonly hostname: string;
}

export interface SteeringTableSpec {
  readonly pool: string;
  /** In order of preference: the pool's own edges, then others worth trying. */
  readonly edges: readonly SteeringEntry[];
}

/** `SCHEME://SITE.NODE-HOSTNAME:PORT`, with scheme and port of the node's content listener. */
export function siteUrlOf(
  { contentUrl, hostname }: Pick<SteeringEntry, "contentUrl" | "hostname">,
  site: string,
): string {
  const { scheme = "http", port = "" } = /^(?<scheme>https?):.*?(?<port>:\d+)?$/.exec(contentUrl)?.groups ?? {};
  return `${scheme}://${site}.${hostname}${port}`;
}
