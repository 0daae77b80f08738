/** Decides which edges are asked for a key, in which order, before the upstream. Pure. */
import { type LoadBounds, rankMembers, withinBounds } from "#domain/placement/bounded-load-hash.ts";
import type { Peer, TierView } from "./membership.ts";

/** Who asks this node: a user agent, or another edge, as its certificate says. */
export type AskedBy = "user-agent" | "sibling" | "child";

export type Tier = "sibling" | "parent";

export interface Candidate {
  readonly tier: Tier;
  readonly peer: Peer;
}

/** The home, and who has its keys while it is away; a third would cost more than the upstream. */
export const PEERS_ASKED_MAX = 2;

/** Mirrokni et al. have the mean and a quarter as a good bound; 64 under way are no load for an edge. */
const BOUNDS: LoadBounds = { loadRatioMax: 1.25, loadMin: 64 };

export interface PlanFacts {
  readonly view: TierView;
  readonly askedBy: AskedBy;
  /** Requests under way to a node, or here. */
  readonly loadOf: (name: string) => number;
}

/**
 * Siblings only for a user agent's request, and only those before this node in the key's order: the first node of a
 * key's order asks none, so a key is fetched once for the pool, and no two nodes wait for one another.
 */
export function planTiers(key: string, { view, askedBy, loadOf }: PlanFacts): readonly Candidate[] {
  const siblings = askedBy === "user-agent" ? siblingsBefore(key, view, loadOf) : [];
  return [...siblings.map(candidateOf("sibling")), ...parentsFor(key, view, loadOf).map(candidateOf("parent"))];
}

function siblingsBefore(key: string, view: TierView, loadOf: PlanFacts["loadOf"]): readonly Peer[] {
  const { self, isMember, siblings } = view;
  if (siblings.length === 0) return [];
  const ranked = rankMembers(key, [...siblings.map(({ name }) => name), ...(isMember ? [self] : [])]);
  const before = isMember ? ranked.slice(0, ranked.indexOf(self)) : ranked;
  const allowed = new Set(withinBounds(ranked, loadOf, BOUNDS));
  return peersOf(
    before.filter((name) => allowed.has(name)),
    siblings,
  );
}

function parentsFor(key: string, { parents }: TierView, loadOf: PlanFacts["loadOf"]): readonly Peer[] {
  const ranked = rankMembers(
    key,
    parents.map(({ name }) => name),
  );
  return peersOf(withinBounds(ranked, loadOf, BOUNDS), parents);
}

function peersOf(names: readonly string[], peers: readonly Peer[]): readonly Peer[] {
  return names.flatMap((name) => peers.find((peer) => peer.name === name) ?? []);
}

function candidateOf(tier: Tier): (peer: Peer) => Candidate {
  return (peer) => ({ tier, peer });
}
