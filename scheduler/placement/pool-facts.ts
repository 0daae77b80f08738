/** What the scheduler knows of a pool when it decides, and what follows for new sessions. Pure. */

import type { NodeState } from "#domain/fleet/node.ts";
import type { Coordinates } from "#domain/geography.ts";
import type { Labels } from "#domain/placement/labels.ts";

export interface EdgeFacts {
  readonly node: string;
  /** Where clients reach it. */
  readonly contentUrl: string;
  readonly state: NodeState;
  readonly cordoned: boolean;
  readonly draining: boolean;
}

export interface PoolFacts {
  readonly pool: string;
  readonly labels: Labels;
  readonly coordinates: Coordinates;
  /** Those that have told their address. */
  readonly edges: readonly EdgeFacts[];
  /** Agents that are cordoned or draining. */
  readonly excludedAgents: ReadonlySet<string>;
  /** Sessions of an app that run there, as last reported; undefined where nobody counts. */
  readonly countSessions?: (app: string) => number;
  /** Whether it runs there, as last reported, or nobody has a link to tell; undefined where nobody counts. */
  readonly hasSession?: (session: string) => boolean;
}

export interface PoolStanding {
  readonly reachable: boolean;
  readonly cordoned: boolean;
  readonly draining: boolean;
}

/** A pool is cordoned or draining when every edge that lives is. */
export function standingOf({ edges }: PoolFacts): PoolStanding {
  const living = edges.filter(({ state }) => state !== "dead");
  return {
    reachable: living.length > 0,
    cordoned: living.length > 0 && living.every(({ cordoned, draining }) => cordoned || draining),
    draining: living.length > 0 && living.every(({ draining }) => draining),
  };
}

/** New ones. */
export function takesSessions(pool: PoolFacts): boolean {
  const { reachable, cordoned, draining } = standingOf(pool);
  return reachable && !cordoned && !draining;
}

/** Edges that a client may be sent to, those with their link up first. */
export function listOpenEdges({ edges }: PoolFacts): readonly EdgeFacts[] {
  const open = edges.filter(({ state, cordoned, draining }) => state !== "dead" && !cordoned && !draining);
  return [...open.filter(({ state }) => state === "connected"), ...open.filter(({ state }) => state !== "connected")];
}
