/** Orders a pool's nodes for one session: rendezvous hashing on app and scene with bounded loads, then best fit. Pure. */
import { uniformOf } from "./bounded-load-hash.ts";

/** Above its share of the load by this much, a node is asked only when no other has room (Mirrokni et al., 2018). */
const LOAD_BOUND_RATIO = 1.25;

/** What a session takes of a node. `slots`, of its render class, is what every node says; the others bound where they are said. */
export const CAPACITY_PARTS = [
  "slots",
  "gpuShareRatio",
  "encoderSessions",
  "memoryBytes",
  "egressBitsPerSecond",
] as const;
export type CapacityPart = (typeof CAPACITY_PARTS)[number];

export interface PartCapacity {
  readonly total: number;
  /** As reported less what is promised since. */
  readonly free: number;
}

export type NodeCapacity = Readonly<Partial<Record<CapacityPart, PartCapacity>>> & { readonly slots: PartCapacity };

export interface NodeWithRoom {
  readonly node: string;
  readonly capacity: NodeCapacity;
}

export interface WantedRoom {
  /** App and scene bundle: who rendered it last has it loaded. */
  readonly scene: string;
  readonly needs: Readonly<Partial<Record<CapacityPart, number>>>;
}

/** Only nodes with room for the session, the one to ask first in front. Of the others only their load counts. */
export function orderNodes(nodes: readonly NodeWithRoom[], wanted: WantedRoom): readonly string[] {
  const boundOf = loadBound(nodes);
  const withRoom = nodes.filter((node) => hasRoom(node, wanted));
  const isWithin = ({ capacity: { slots } }: NodeWithRoom) => slots.total - slots.free + 1 <= boundOf(slots.total);
  const within = withRoom
    .filter(isWithin)
    .map((one) => ({ node: one.node, rank: -weightOf(one, wanted) }))
    .sort(byRank);
  const over = withRoom
    .filter((one) => !isWithin(one))
    .map((one) => ({ node: one.node, rank: leftOver(one, wanted) }))
    .sort(byRank);
  return [...within, ...over].map(({ node }) => node);
}

function hasRoom({ capacity }: NodeWithRoom, { needs }: WantedRoom): boolean {
  return CAPACITY_PARTS.every((part) => (capacity[part]?.free ?? Number.POSITIVE_INFINITY) >= needOf(part, needs));
}

function needOf(part: CapacityPart, needs: WantedRoom["needs"]): number {
  return part === "slots" ? 1 : (needs[part] ?? 0);
}

/** What a node of so many slots may hold once this session is placed: its part of the load, and a quarter more. */
function loadBound(nodes: readonly NodeWithRoom[]): (slotsTotal: number) => number {
  const total = nodes.reduce((sum, { capacity: { slots } }) => sum + slots.total, 0);
  const used = nodes.reduce((sum, { capacity: { slots } }) => sum + slots.total - slots.free, 0);
  return (slotsTotal) => Math.ceil((LOAD_BOUND_RATIO * (used + 1) * slotsTotal) / total);
}

/** Rendezvous hashing weighted by slots (Schindelhauer and Schomaker, 2005): the highest wins. */
function weightOf({ node, capacity }: NodeWithRoom, { scene }: WantedRoom): number {
  return -capacity.slots.total / Math.log(uniformOf(scene, node));
}

/** Square of what would be left, each part by its total: the least is the best fit (norm-based greedy, Panigrahy et al., 2011). */
function leftOver({ capacity }: NodeWithRoom, { needs }: WantedRoom): number {
  return CAPACITY_PARTS.reduce((sum, part) => {
    const { total, free } = capacity[part] ?? { total: 0, free: 0 };
    return total === 0 ? sum : sum + ((free - needOf(part, needs)) / total) ** 2;
  }, 0);
}

function byRank(a: { node: string; rank: number }, b: { node: string; rank: number }): number {
  return a.rank - b.rank || (a.node < b.node ? -1 : 1);
}
