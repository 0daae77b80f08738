/** The names of a zone as the fleet is now. */
import type { Clock } from "#platform/clock.ts";
import { indexZone, type ZoneIndex } from "#platform/dns/zone-index.ts";
import type { DesiredView } from "../facts/desired-view.ts";
import type { FleetEdge, FleetPool } from "../facts/fleet.ts";

/** Names of nodes follow what nodes say of themselves, in one walk over all of them. */
const WALK_MS = 1_000;

export interface NamedFleet {
  readonly view: Pick<DesiredView, "sites">;
  listPools(): readonly FleetPool[];
}

interface Walked {
  readonly atMs: number;
  readonly view: NamedFleet["view"];
  readonly index: ZoneIndex<FleetEdge>;
}

export class ZoneContents {
  readonly #fleet: NamedFleet;
  readonly #clock: Pick<Clock, "monotonicMs">;
  #walked: Walked | undefined;

  constructor(fleet: NamedFleet, clock: Pick<Clock, "monotonicMs">) {
    this.#fleet = fleet;
    this.#clock = clock;
  }

  /** Anew for another desired state, and within a second of what nodes say. */
  now(): ZoneIndex<FleetEdge> {
    const { view } = this.#fleet;
    const atMs = this.#clock.monotonicMs();
    const known = this.#walked;
    if (known?.view === view && atMs - known.atMs < WALK_MS) return known.index;
    const sites = [...view.sites].map(([site, { hostnames }]) => [site, hostnames] as const);
    const edges = this.#fleet.listPools().flatMap((pool) => pool.edges);
    const index = indexZone({ sites, nodes: edges.map((edge) => [edge.hostname, edge] as const) });
    this.#walked = { atMs, view, index };
    return index;
  }
}
