/** The DNS listener of an edge-node. */
import { parseAddress } from "#platform/address.ts";
import { type RunningDnsServer, startDnsServer } from "#platform/dns/dns-server.ts";
import { createDnsEvents } from "#platform/dns/events.ts";
import { zonesOf } from "#platform/dns/zone-names.ts";
import type { EdgeConfig } from "../config.ts";
import type { EdgeParts } from "../edge-parts.ts";
import { type HeldFacts, steeringFactsOf } from "./cut-off-steering.ts";
import { createEdgeZone } from "./edge-zone.ts";

/** Throws `config-invalid`, or `unavailable` where the address cannot be had. */
export function startEdgeDns(
  { dns, contentUrl, hostname }: EdgeConfig & { readonly dns: NonNullable<EdgeConfig["dns"]> },
  { identity, set, view, clock, logger, metrics }: EdgeParts,
  held: Pick<HeldFacts, "isServed" | "isCutOff">,
): Promise<RunningDnsServer> {
  const { name: node, pool } = identity.peer;
  const names = createEdgeZone({
    facts: () => steeringFactsOf({ identity, set, ...held }),
    own: { node, pool, contentUrl, hostname },
    isOpen() {
      const own = set.resources.get(`Node/${node}`);
      return own?.kind !== "Node" || !(own.spec.cordoned || own.spec.draining);
    },
    sites: () => view().sites,
    revision: () => set.watermark?.revision ?? 0,
    bounds: dns,
  });
  const events = createDnsEvents(logger, metrics);
  return startDnsServer({ address: parseAddress(dns.listen), zones: zonesOf(dns), names, clock, events });
}
