/** Observed state: the last that each node said of itself, in memory, without revisions; never in the log. */
import type { NodeState, NodeStatus } from "#domain/fleet/node.ts";

export interface ObservedNode {
  readonly node: string;
  readonly pool: string;
  readonly linkUp: boolean;
  readonly linkSinceMs: number;
  /** The sibling that relays for it; absent where its link is a stream of its own, or is down. */
  readonly relayedBy?: string;
  readonly status?: NodeStatus;
  /** The scheduler's word, where one has spoken. */
  readonly state?: { readonly state: NodeState; readonly sinceMs: number };
}

export type ObservedListener = (observed: ObservedNode) => void;

/** Holds as many nodes as have certificates and are not deleted. */
export class ObservedNodes {
  readonly #nodes = new Map<string, ObservedNode>();
  readonly #listeners = new Set<ObservedListener>();

  list(): readonly ObservedNode[] {
    return [...this.#nodes.values()];
  }

  find(node: string): ObservedNode | undefined {
    return this.#nodes.get(node);
  }

  setLink(node: string, pool: string, linkUp: boolean, nowMs: number, relayedBy?: string): void {
    const { relayedBy: _before, ...before } = this.#nodes.get(node) ?? {};
    const by = relayedBy === undefined ? {} : { relayedBy };
    this.#set({ ...before, node, pool, linkUp, linkSinceMs: nowMs, ...by });
  }

  /** Ignored for a node that never connected. */
  setStatus(node: string, status: NodeStatus): void {
    const before = this.#nodes.get(node);
    if (before !== undefined) this.#set({ ...before, status });
  }

  setState(node: string, state: NodeState, sinceMs: number): void {
    const before = this.#nodes.get(node);
    if (before !== undefined) this.#nodes.set(node, { ...before, state: { state, sinceMs } });
  }

  forget(node: string): void {
    this.#nodes.delete(node);
  }

  /** The listener must be quick; it hears of links and statuses. */
  subscribe(listener: ObservedListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #set(observed: ObservedNode): void {
    this.#nodes.set(observed.node, observed);
    for (const listener of this.#listeners) listener(observed);
  }
}
