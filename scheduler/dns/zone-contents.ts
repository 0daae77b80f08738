/** Which names a zone has: sites by their host names and as `SITE.ZONE`, nodes, and sites at nodes as `SITE.NODE`. */
import type { Clock } from "#platform/clock.ts";
import type { DesiredView } from "../facts/desired-view.ts";
import type { FleetEdge, FleetPool } from "../facts/fleet.ts";

/** Names of nodes follow what nodes say of themselves, in one walk over all of them. */
const WALK_MS = 1_000;

export type ZoneName =
  | { readonly kind: "site"; readonly site: string }
  | { readonly kind: "node"; readonly edge: FleetEdge }
  | { readonly kind: "empty" }
  | { readonly kind: "absent" };

export interface NamedFleet {
  readonly view: Pick<DesiredView, "sites" | "siteByHostname">;
  listPools(): readonly FleetPool[];
}

interface Walked {
  readonly atMs: number;
  readonly view: NamedFleet["view"];
  readonly nodes: ReadonlyMap<string, FleetEdge>;
  /** Names that others are below (RFC 8020). */
  readonly parents: ReadonlySet<string>;
}

export class ZoneContents {
  readonly #fleet: NamedFleet;
  readonly #clock: Pick<Clock, "monotonicMs">;
  #walked: Walked | undefined;

  constructor(fleet: NamedFleet, clock: Pick<Clock, "monotonicMs">) {
    this.#fleet = fleet;
    this.#clock = clock;
  }

  /** In lower case, both. */
  find(name: string, zone: string): ZoneName {
    const { sites, siteByHostname } = this.#fleet.view;
    const [label = ""] = name.split(".", 1);
    const parent = name.slice(label.length + 1);
    const site = siteByHostname.get(name) ?? (parent === zone && sites.has(label) ? label : undefined);
    if (site !== undefined) return { kind: "site", site };
    const { nodes, parents } = this.#walk();
    const edge = nodes.get(name) ?? (sites.has(label) ? nodes.get(parent) : undefined);
    if (edge !== undefined) return { kind: "node", edge };
    return { kind: parents.has(name) ? "empty" : "absent" };
  }

  #walk(): Walked {
    const { view } = this.#fleet;
    const nowMs = this.#clock.monotonicMs();
    const known = this.#walked;
    if (known?.view === view && nowMs - known.atMs < WALK_MS) return known;
    const edges = this.#fleet.listPools().flatMap((pool) => pool.edges);
    const nodes = new Map(edges.map((edge) => [edge.hostname.toLowerCase(), edge]));
    const parents = new Set([...view.siteByHostname.keys(), ...nodes.keys()].flatMap(parentsOf));
    this.#walked = { atMs: nowMs, view, nodes, parents };
    return this.#walked;
  }
}

function parentsOf(name: string): readonly string[] {
  const labels = name.split(".");
  return labels.slice(1).map((_, at) => labels.slice(at + 1).join("."));
}
