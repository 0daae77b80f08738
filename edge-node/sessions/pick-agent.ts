/** Orders a pool's agents for one session, or says why none can take it. Pure. */
import { type NodeWithRoom, orderNodes, type PartCapacity } from "#domain/placement/node-choice.ts";

export interface AgentFacts {
  readonly agent: string;
  readonly isReady: boolean;
  /** Cordoned or draining. */
  readonly isClosed: boolean;
  readonly slots: ReadonlyMap<string, PartCapacity>;
}

export interface WantedSlot {
  readonly renderClass: string;
  /** App and scene bundle: who rendered it last has it loaded. */
  readonly scene: string;
}

export type AgentOrder =
  | { readonly kind: "ordered"; readonly agents: readonly string[] }
  | { readonly kind: "none"; readonly because: "no-agent" | "not-ready" | "closed" | "no-such-class" | "full" };

/** Only agents that may take the session now, the one to ask first in front. */
export function orderAgents(agents: readonly AgentFacts[], wanted: WantedSlot): AgentOrder {
  if (agents.length === 0) return { kind: "none", because: "no-agent" };
  const ready = agents.filter(({ isReady }) => isReady);
  if (ready.length === 0) return { kind: "none", because: "not-ready" };
  const open = ready.filter(({ isClosed }) => !isClosed);
  if (open.length === 0) return { kind: "none", because: "closed" };
  const holders = open.flatMap(({ agent, slots }): NodeWithRoom[] => {
    const slot = slots.get(wanted.renderClass);
    // Agents say what fits as slots of each class; memory, encoder sessions and GPU share are in that count.
    return slot === undefined || slot.total === 0 ? [] : [{ node: agent, capacity: { slots: slot } }];
  });
  if (holders.length === 0) return { kind: "none", because: "no-such-class" };
  const ordered = orderNodes(holders, { scene: wanted.scene, needs: {} });
  return ordered.length === 0 ? { kind: "none", because: "full" } : { kind: "ordered", agents: ordered };
}
