/** What is known of the fleet: the desired state joined with what nodes last said and how they stand, by pool. */
import { EMPTY_SET, type Resources } from "#contracts/codec/set-state.ts";
import type { NodeState, NodeStatus, SiteStatus } from "#domain/fleet/node.ts";
import type { SteeringEntry } from "#domain/placement/steering-table.ts";
import type { EdgeFacts, PoolFacts } from "../placement/pool-facts.ts";
import { type DesiredView, viewOf } from "./desired-view.ts";

/** The last that the origin told of a node. */
export interface ObservedNode {
  readonly node: string;
  readonly linkUp: boolean;
  readonly status: NodeStatus | undefined;
}

export interface NodeStanding {
  readonly state: NodeState;
  /** Its link is up, or it has answered a probe and none has failed since. */
  readonly isHeard: boolean;
}

export interface FleetEdge extends EdgeFacts {
  readonly pool: string;
  /** `SITE.hostname` is a site at this node. */
  readonly hostname: string;
  readonly isHeard: boolean;
  /** Undefined where it has not reported since this scheduler was started. */
  readonly sites: readonly SiteStatus[] | undefined;
  readonly storeBytesMax: number | undefined;
}

export interface FleetPool extends PoolFacts {
  readonly edges: readonly FleetEdge[];
}

/** A member that has told its address to nobody yet is no edge that could be chosen. */
const UNKNOWN_STANDING: NodeStanding = { state: "cut-off", isHeard: false };

export class Fleet {
  #view: DesiredView = viewOf(EMPTY_SET.resources);
  /** Names of the members of each pool. */
  #members: ReadonlyMap<string, readonly string[]> = new Map();
  #addresses: ReadonlyMap<string, SteeringEntry> = new Map();
  readonly #observed = new Map<string, ObservedNode>();
  readonly #standings = new Map<string, NodeStanding>();
  /** Made when asked for; a change drops what it touches. */
  readonly #pools = new Map<string, FleetPool>();

  get view(): DesiredView {
    return this.#view;
  }

  setDesired(resources: Resources): void {
    this.#view = viewOf(resources);
    const members = new Map<string, string[]>();
    for (const [name, { spec }] of this.#view.nodes) {
      const pool = members.get(spec.pool) ?? [];
      members.set(spec.pool, pool);
      pool.push(name);
    }
    for (const names of members.values()) names.sort();
    this.#members = members;
    this.#addresses = addressesOf(this.#view);
    for (const node of this.#standings.keys()) if (!this.#view.nodes.has(node)) this.#standings.delete(node);
    this.#pools.clear();
  }

  setObserved(observed: ObservedNode): void {
    this.#observed.set(observed.node, observed);
    this.#touch(observed.node);
  }

  findObserved(node: string): ObservedNode | undefined {
    return this.#observed.get(node);
  }

  /** Forgets what is said of all others. */
  retainObserved(nodes: ReadonlySet<string>): void {
    for (const node of [...this.#observed.keys()]) if (!nodes.has(node)) this.#observed.delete(node);
    this.#pools.clear();
  }

  setStanding(node: string, standing: NodeStanding): void {
    const before = this.#standings.get(node);
    if (before?.state === standing.state && before.isHeard === standing.isHeard) return;
    this.#standings.set(node, standing);
    this.#touch(node);
  }

  /** Edges that are members, whether or not they have told their address. */
  listEdgeNames(): readonly string[] {
    return [...this.#view.nodes].filter(([, { spec }]) => spec.role === "edge").map(([name]) => name);
  }

  listPools(): readonly FleetPool[] {
    return [...this.#view.pools.keys()].flatMap((pool) => this.findPool(pool) ?? []);
  }

  findPool(name: string): FleetPool | undefined {
    const known = this.#pools.get(name);
    if (known !== undefined) return known;
    const pool = this.#makePool(name);
    if (pool !== undefined) this.#pools.set(name, pool);
    return pool;
  }

  findEdge(node: string): FleetEdge | undefined {
    const pool = this.#view.nodes.get(node)?.spec.pool;
    return pool === undefined ? undefined : this.findPool(pool)?.edges.find((edge) => edge.node === node);
  }

  #touch(node: string): void {
    const pool = this.#view.nodes.get(node)?.spec.pool;
    if (pool !== undefined) this.#pools.delete(pool);
  }

  #makePool(name: string): FleetPool | undefined {
    const resource = this.#view.pools.get(name);
    if (resource === undefined) return undefined;
    const members = this.#members.get(name) ?? [];
    return {
      pool: name,
      labels: this.#view.poolLabels.get(name) ?? {},
      coordinates: resource.spec.coordinates,
      edges: members.flatMap((node) => this.#makeEdge(node) ?? []),
      excludedAgents: new Set(members.filter((node) => this.#takesNothing(node, "agent"))),
      ...this.#sessionsOf(members),
    };
  }

  /** Listed when it is first asked for: most policies do not. Every edge of a pool tells of all its agents. */
  #sessionsOf(members: readonly string[]): Required<Pick<PoolFacts, "countSessions" | "hasSession">> {
    let known: Map<string, Set<string>> | undefined;
    const list = () => {
      const byApp = new Map<string, Set<string>>();
      for (const node of members) {
        const { linkUp, status } = this.#observed.get(node) ?? {};
        if (linkUp !== true || status === undefined) continue;
        for (const { app, session } of status.agents.flatMap(({ sessions }) => sessions)) {
          byApp.set(app, (byApp.get(app) ?? new Set()).add(session));
        }
      }
      return byApp;
    };
    const isTold = () => members.some((node) => this.#observed.get(node)?.linkUp === true);
    const sessions = () => {
      known ??= list();
      return known;
    };
    return {
      countSessions: (app) => sessions().get(app)?.size ?? 0,
      hasSession: (session) => !isTold() || [...sessions().values()].some((ofApp) => ofApp.has(session)),
    };
  }

  #takesNothing(node: string, role: "agent" | "edge"): boolean {
    const spec = this.#view.nodes.get(node)?.spec;
    return spec?.role === role && (spec.cordoned || spec.draining);
  }

  #makeEdge(node: string): FleetEdge | undefined {
    const spec = this.#view.nodes.get(node)?.spec;
    const status = this.#observed.get(node)?.status;
    const { contentUrl, hostname } = status ?? this.#addresses.get(node) ?? {};
    if (spec?.role !== "edge" || contentUrl === undefined || hostname === undefined) return undefined;
    const { pool, cordoned, draining } = spec;
    const standing = this.#standings.get(node) ?? UNKNOWN_STANDING;
    const reported = { sites: status?.sites, storeBytesMax: status?.storeBytesMax };
    return { node, pool, contentUrl, hostname, cordoned, draining, ...standing, ...reported };
  }
}

/** Where edges were when the slow loop last wrote: what a scheduler that starts without the origin goes by. */
function addressesOf({ steeringTables }: DesiredView): ReadonlyMap<string, SteeringEntry> {
  const entries = [...steeringTables.values()].flatMap(({ spec }) => spec.edges);
  return new Map(entries.map((entry) => [entry.node, entry]));
}
