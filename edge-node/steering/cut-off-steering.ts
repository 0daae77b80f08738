/** Decides where an edge that is cut off sends users, by the last table it was given. Pure. */
import type { Resources } from "#contracts/codec/set-state.ts";
import type { SteerAnswer } from "#contracts/operator-api/sessions.ts";
import { type SteeringEntry, siteUrlOf } from "#domain/placement/steering-table.ts";
import { resourcesOf } from "../desired-state/desired-view.ts";

/** What `/v1/steer` says in place of an id that the scheduler could explain. */
export const CUT_OFF_DECISION = "edge-cut-off";

export interface SteeringFacts {
  readonly isCutOff: boolean;
  /** Of this edge. */
  readonly node: string;
  readonly pool: string;
  /** In order of preference; empty where no table was ever given. Looked for only where it decides. */
  readonly edges: () => readonly SteeringEntry[];
  /** Whether this edge has what it needs to answer for the site. */
  readonly isServedHere: (site: string) => boolean;
}

export interface SteeringQuestion {
  readonly site: string;
  /** By a host name of the site's own, which leads to any node; not by `SITE.NODE`, which is final. */
  readonly isByOwnHostname: boolean;
}

export type RedirectDecision =
  | { readonly kind: "serve-here" }
  | { readonly kind: "redirect"; readonly to: string; readonly node: string };

/** Only what cannot be answered here is sent on, to the first other edge, and by a name that is not sent on again. */
export function decideRedirect(facts: SteeringFacts, { site, isByOwnHostname }: SteeringQuestion): RedirectDecision {
  if (!facts.isCutOff || !isByOwnHostname || facts.isServedHere(site)) return { kind: "serve-here" };
  const other = facts.edges().find(({ node }) => node !== facts.node);
  if (other === undefined) return { kind: "serve-here" };
  return { kind: "redirect", to: siteUrlOf(other, site), node: other.node };
}

/** This edge first or last; the others in the order of the table. */
export function entryRanking(
  { node, edges }: Pick<SteeringFacts, "node" | "edges">,
  isHereFirst: boolean,
): readonly SteeringEntry[] {
  const here = edges().filter((entry) => entry.node === node);
  const others = edges().filter((entry) => entry.node !== node);
  return isHereFirst ? [...here, ...others] : [...others, ...here];
}

export interface HeldFacts {
  readonly identity: { readonly peer: { readonly name: string; readonly pool: string } };
  readonly set: { readonly resources: Resources };
  /** Whether the site can be answered here without the origin. */
  readonly isServed: (site: string) => boolean;
  readonly isCutOff: () => boolean;
}

export function steeringFactsOf({ identity, set, isServed, isCutOff }: HeldFacts): SteeringFacts {
  const { pool, name: node } = identity.peer;
  const edges = () => tableOf(set.resources, pool);
  return { isCutOff: isCutOff(), node, pool, edges, isServedHere: isServed };
}

/** By set, of which an edge has those of its own pool: a set does not change, what follows it is another map. */
const TABLES = new WeakMap<Resources, readonly SteeringEntry[]>();

function tableOf(resources: Resources, pool: string): readonly SteeringEntry[] {
  const known = TABLES.get(resources);
  if (known !== undefined) return known;
  const edges = [...resourcesOf(resources, "SteeringTable")].find(({ spec }) => spec.pool === pool)?.spec.edges ?? [];
  TABLES.set(resources, edges);
  return edges;
}

/** Undefined where the scheduler is to be asked: the edge is not cut off, or was given no table. */
export function steerBy(facts: SteeringFacts, site: string): SteerAnswer | undefined {
  const edges = facts.isCutOff ? facts.edges() : [];
  if (edges.length === 0) return undefined;
  const ranked = entryRanking(facts, facts.isServedHere(site));
  return {
    site,
    decision: CUT_OFF_DECISION,
    group: `pool:${facts.pool}`,
    edges: ranked.map((edge) => ({
      ...{ node: edge.node, pool: edge.pool, url: siteUrlOf(edge, site) },
      ...{ rttMs: 0, source: "table" as const },
    })),
    probes: [],
  };
}
