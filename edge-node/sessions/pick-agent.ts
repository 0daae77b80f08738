/** Orders a pool's agents for one session: rendezvous hashing on app and scene with bounded loads, then best fit. Pure. */
import { createHash } from "node:crypto";

/** Above its share of the load by this much, an agent is asked only when no other has room (Mirrokni et al., 2018). */
const LOAD_BOUND_RATIO = 1.25;
const HASH_BYTES = 6;
const HASH_RANGE = 2 ** (8 * HASH_BYTES);

export interface SlotFacts {
  readonly total: number;
  /** As reported less what is promised since. */
  readonly free: number;
}

export interface AgentFacts {
  readonly agent: string;
  readonly isReady: boolean;
  /** Cordoned or draining. */
  readonly isClosed: boolean;
  readonly slots: ReadonlyMap<string, SlotFacts>;
}

export interface WantedSlot {
  readonly renderClass: string;
  /** App and scene bundle: who rendered it last has it loaded. */
  readonly scene: string;
}

export type AgentOrder =
  | { readonly kind: "ordered"; readonly agents: readonly string[] }
  | { readonly kind: "none"; readonly because: "no-agent" | "not-ready" | "closed" | "no-such-class" | "full" };

interface Candidate extends SlotFacts {
  readonly agent: string;
}

/** Only agents that may take the session now, the one to ask first in front. */
export function orderAgents(agents: readonly AgentFacts[], wanted: WantedSlot): AgentOrder {
  if (agents.length === 0) return { kind: "none", because: "no-agent" };
  const ready = agents.filter(({ isReady }) => isReady);
  if (ready.length === 0) return { kind: "none", because: "not-ready" };
  const open = ready.filter(({ isClosed }) => !isClosed);
  if (open.length === 0) return { kind: "none", because: "closed" };
  const holders = open.flatMap(({ agent, slots }) => {
    const slot = slots.get(wanted.renderClass);
    return slot === undefined || slot.total === 0 ? [] : [{ agent, ...slot }];
  });
  if (holders.length === 0) return { kind: "none", because: "no-such-class" };
  const free = holders.filter((candidate) => candidate.free > 0);
  if (free.length === 0) return { kind: "none", because: "full" };
  const bounds = loadBounds(holders);
  const isWithin = ({ agent, total, free: left }: Candidate) => total - left + 1 <= (bounds.get(agent) ?? 0);
  const within = free.filter(isWithin).toSorted((a, b) => weightOf(wanted, b) - weightOf(wanted, a) || byName(a, b));
  const over = free.filter((one) => !isWithin(one)).toSorted((a, b) => a.free - b.free || byName(a, b));
  return { kind: "ordered", agents: [...within, ...over].map(({ agent }) => agent) };
}

/** What each may hold once this session is placed: its part of all slots of the load, and a quarter more. */
function loadBounds(holders: readonly Candidate[]): ReadonlyMap<string, number> {
  const total = holders.reduce((sum, holder) => sum + holder.total, 0);
  const used = holders.reduce((sum, holder) => sum + holder.total - holder.free, 0);
  return new Map(
    holders.map((holder) => [holder.agent, Math.ceil((LOAD_BOUND_RATIO * (used + 1) * holder.total) / total)]),
  );
}

/** Rendezvous hashing weighted by slots (Schindelhauer and Schomaker, 2005): the highest wins. */
function weightOf({ scene }: WantedSlot, { agent, total }: Candidate): number {
  const hash = createHash("sha256").update(`${scene}\0${agent}`).digest().readUIntBE(0, HASH_BYTES);
  return -total / Math.log((hash + 0.5) / HASH_RANGE);
}

function byName(a: Candidate, b: Candidate): number {
  return a.agent < b.agent ? -1 : 1;
}
