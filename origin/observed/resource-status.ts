/** What is observed of a resource, joined for the API and the status page. Pure. */
import type { AgentStatus, NodeState } from "#domain/fleet/node.ts";
import { type AnyResource, belongsToPool, type Resource } from "#domain/resource.ts";
import type { ObservedNode } from "./observed-nodes.ts";

export interface FleetFacts {
  readonly nodes: readonly Resource<"Node">[];
  readonly releases: readonly Resource<"Release">[];
  readonly observed: readonly ObservedNode[];
}

/** The scheduler's word where it has spoken; without one the link is all that is known. */
export type Liveness = NodeState | "link-down" | "never-connected";

export interface NodeResourceStatus extends Partial<ObservedNode> {
  readonly liveness: Liveness;
  /** Of an agent: the edges that speak for it. */
  readonly reportedBy?: readonly { readonly edge: string; readonly linkUp: boolean; readonly agent: AgentStatus }[];
}

export interface SiteResourceStatus {
  /** The newest release; 0 while there is none, or where the site is pulled. */
  readonly generation: number;
  readonly servedBy: readonly {
    readonly node: string;
    readonly pool: string;
    readonly activeGeneration: number;
    readonly objectsMissing: number;
  }[];
}

export interface PoolResourceStatus {
  readonly nodes: number;
  readonly linked: number;
  readonly offlineReady: number;
  readonly slotsFree: number;
  readonly slotsTotal: number;
}

/** How far a change has come: edges whose set has it, of those that are enrolled in a pool that gets it. */
export interface AppliedStatus {
  readonly appliedBy: number;
  readonly edges: number;
}

export type ResourceStatus = NodeResourceStatus | SiteResourceStatus | PoolResourceStatus | AppliedStatus;

export function resourceStatus(resource: AnyResource, facts: FleetFacts): ResourceStatus {
  switch (resource.kind) {
    case "Node":
      return nodeStatus(resource, facts);
    case "Site":
      return siteStatus(resource.metadata.name, facts);
    case "NodePool":
      return poolStatus(resource.metadata.name, facts);
    default:
      return appliedStatus(resource, facts);
  }
}

export function nodeStatus({ metadata, spec }: Resource<"Node">, { observed }: FleetFacts): NodeResourceStatus {
  const own = observed.find(({ node }) => node === metadata.name);
  if (spec.role !== "agent") return { ...own, liveness: livenessOf(own) };
  const reportedBy = observed.flatMap(({ node, linkUp, status }) => {
    const agent = status?.agents.find((entry) => entry.agent === metadata.name);
    return agent === undefined ? [] : [{ edge: node, linkUp, agent }];
  });
  const isSpokenFor = reportedBy.some(({ linkUp }) => linkUp);
  const unheard = reportedBy.length === 0 ? "never-connected" : "link-down";
  return { liveness: isSpokenFor ? "connected" : unheard, reportedBy };
}

function livenessOf(observed: ObservedNode | undefined): Liveness {
  if (observed === undefined) return "never-connected";
  return observed.state?.state ?? (observed.linkUp ? "connected" : "link-down");
}

export function siteStatus(site: string, { releases, observed }: FleetFacts): SiteResourceStatus {
  const generations = releases.filter(({ spec }) => spec.site === site).map(({ spec }) => spec.generation);
  const servedBy = observed.flatMap(({ node, pool, status }) => {
    const entry = status?.sites.find((candidate) => candidate.site === site);
    if (entry === undefined) return [];
    return [{ node, pool, activeGeneration: entry.activeGeneration, objectsMissing: entry.objectsMissing }];
  });
  return { generation: Math.max(0, ...generations), servedBy };
}

export function poolStatus(pool: string, { nodes, observed }: FleetFacts): PoolResourceStatus {
  const edges = nodes.filter(({ spec }) => spec.role === "edge" && spec.pool === pool);
  const known = edges.flatMap(({ metadata }) => observed.filter(({ node }) => node === metadata.name));
  const slots = slotsOf(known);
  return {
    nodes: edges.length,
    linked: known.filter(({ linkUp }) => linkUp).length,
    offlineReady: known.filter(({ status }) => isOfflineReady(status)).length,
    slotsFree: slots.reduce((sum, slot) => sum + slot.free, 0),
    slotsTotal: slots.reduce((sum, slot) => sum + slot.total, 0),
  };
}

/** Each agent is connected to every edge of its pool and counts once. */
function slotsOf(observed: readonly ObservedNode[]) {
  const agents = new Map(observed.flatMap(({ status }) => (status?.agents ?? []).map((agent) => [agent.agent, agent])));
  return [...agents.values()].flatMap((agent) => agent.slots);
}

function isOfflineReady(status: ObservedNode["status"]): boolean {
  return status?.conditions.some(({ type, status: holds }) => type === "OfflineReady" && holds) === true;
}

function appliedStatus(resource: AnyResource, { nodes, observed }: FleetFacts): AppliedStatus {
  const { metadata } = resource;
  const edges = nodes.filter(({ spec }) => spec.role === "edge" && belongsToPool(resource, spec.pool));
  const applied = edges.filter((edge) =>
    observed.some(
      ({ node, status }) => node === edge.metadata.name && (status?.appliedRevision ?? 0) >= metadata.resourceVersion,
    ),
  );
  return { appliedBy: applied.length, edges: edges.length };
}
