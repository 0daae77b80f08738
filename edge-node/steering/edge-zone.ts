/** Names of a zone as one edge answers them, linked or cut off: from its table and its own address. */

import type { SteeringEntry } from "#domain/placement/steering-table.ts";
import { indexZone, type ZoneIndex } from "#platform/dns/zone-index.ts";
import type { NameLookup, ZoneNames } from "#platform/dns/zone-names.ts";
import { entryRanking, type SteeringFacts } from "./cut-off-steering.ts";

/** An edge that is in no answer beside a better one. */
const FARTHER_MS = 1_000;

export interface EdgeZonePorts {
  readonly facts: () => SteeringFacts;
  /** Of this edge. */
  readonly own: SteeringEntry;
  /** Whether new users may be sent here at all. */
  readonly isOpen: () => boolean;
  readonly sites: () => ReadonlyMap<string, { readonly spec: { readonly hostnames: readonly string[] } }>;
  readonly revision: () => number;
  readonly bounds: { readonly ttlSecondsMin: number; readonly ttlSecondsMax: number };
}

interface Indexed {
  readonly sites: ReturnType<EdgeZonePorts["sites"]>;
  readonly edges: readonly SteeringEntry[];
  readonly index: ZoneIndex<SteeringEntry>;
}

export function createEdgeZone(ports: EdgeZonePorts): ZoneNames {
  const { own, bounds } = ports;
  let indexed: Indexed | undefined;
  const indexNow = (edges: readonly SteeringEntry[]): ZoneIndex<SteeringEntry> => {
    const sites = ports.sites();
    if (indexed?.sites === sites && indexed.edges === edges) return indexed.index;
    const index = indexZone({
      sites: [...sites].map(([site, { spec }]) => [site, spec.hostnames] as const),
      nodes: [...edges, own].map((entry) => [entry.hostname, entry] as const),
    });
    indexed = { sites, edges, index };
    return index;
  };
  return {
    serial: () => ports.revision(),
    lookUp(name, zone): NameLookup {
      const facts = ports.facts();
      const edges = facts.edges();
      const found = indexNow(edges).find(name, zone);
      if (found.kind === "absent" || found.kind === "empty") return found;
      if (found.kind === "node") {
        const { contentUrl } = found.node;
        return { ...{ kind: "edges", edges: [{ contentUrl, scoreMs: 0 }] }, ...answeredTo(bounds.ttlSecondsMax) };
      }
      const isHereFirst = ports.isOpen() && (!facts.isCutOff || facts.isServedHere(found.site));
      const ranked = entryRanking({ ...facts, edges: () => withOwn(edges, own) }, isHereFirst);
      return { ...{ kind: "edges", edges: scored(ranked, facts) }, ...answeredTo(bounds.ttlSecondsMin) };
    },
  };
}

/** It hung on nothing of the client. */
function answeredTo(ttlSeconds: number) {
  return { ttlSeconds, scopePrefixLength: 0 };
}

function withOwn(edges: readonly SteeringEntry[], own: SteeringEntry): readonly SteeringEntry[] {
  return edges.some(({ node }) => node === own.node) ? edges : [...edges, own];
}

/** Others of the first one's pool are as near; but who is cut off knows of itself only that it is there. */
function scored(ranked: readonly SteeringEntry[], { isCutOff, node }: SteeringFacts) {
  const [first] = ranked;
  const isAlone = isCutOff && first?.node === node;
  return ranked.map((entry, at) => ({
    contentUrl: entry.contentUrl,
    scoreMs: at === 0 || (entry.pool === first?.pool && !isAlone) ? 0 : FARTHER_MS * at,
  }));
}
