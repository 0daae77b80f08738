/** The pool's agents that are connected to this edge: what they hold, and what they have room for. */
import type { Resources } from "#contracts/codec/set-state.ts";
import { Failure } from "#domain/failure.ts";
import type { AgentStatus, SessionStatus } from "#domain/fleet/node.ts";
import type { ConnectedAgent } from "./connected-agent.ts";
import { nodeSpecOf } from "./membership.ts";
import type { AgentFacts } from "./pick-agent.ts";

/** GPU hosts at one place; a stream and a status each. */
export const AGENTS_MAX = 256;
/** Processes of one name that were replaced, newest last: none of them comes back. */
const REPLACED_MAX = 8;

export interface DirectoryEvents {
  agentUp(agent: string): void;
  agentDown(agent: string, reason: unknown): void;
  agentTwice(agent: string): void;
}

export interface SessionHolder {
  readonly agent: ConnectedAgent;
  readonly attempt: number;
}

export class AgentDirectory {
  readonly #agents = new Map<string, ConnectedAgent>();
  readonly #replaced = new Map<string, readonly string[]>();
  readonly #events: DirectoryEvents;
  readonly #resources: () => Resources;

  constructor(events: DirectoryEvents, resources: () => Resources) {
    this.#events = events;
    this.#resources = resources;
  }

  /** The newest process of a name stands. Throws `permission-denied` for one that was replaced, `overloaded` at the limit. */
  add(agent: ConnectedAgent): void {
    const { name, incarnation } = agent;
    const replaced = this.#replaced.get(name) ?? [];
    if (replaced.includes(incarnation)) {
      this.#events.agentTwice(name);
      throw new Failure("permission-denied", `a newer process has connected as ${name}: two have one identity`);
    }
    const older = this.#agents.get(name);
    if (older === undefined && this.#agents.size >= AGENTS_MAX) {
      throw new Failure("overloaded", `${AGENTS_MAX} agents are connected, which is the limit`, { retryable: true });
    }
    if (older !== undefined && older.incarnation !== incarnation) {
      this.#replaced.set(name, [...replaced, older.incarnation].slice(-REPLACED_MAX));
      this.#events.agentTwice(name);
    }
    older?.link.end(new Failure("unavailable", `a newer stream was opened as ${name}`, { retryable: true }));
    this.#agents.set(name, agent);
    this.#events.agentUp(name);
  }

  /** Does nothing where a newer stream of the name stands. */
  remove(agent: ConnectedAgent): void {
    if (this.#agents.get(agent.name) !== agent) return;
    this.#agents.delete(agent.name);
    this.#events.agentDown(agent.name, agent.link.signal.reason);
  }

  all(): IterableIterator<ConnectedAgent> {
    return this.#agents.values();
  }

  find(name: string): ConnectedAgent | undefined {
    return this.#agents.get(name);
  }

  /** Of several, the one with the highest attempt. */
  holderOf(session: string): SessionHolder | undefined {
    let holder: SessionHolder | undefined;
    for (const agent of this.#agents.values()) {
      const attempt = agent.attemptOf(session);
      if (attempt !== undefined && attempt > (holder?.attempt ?? 0)) holder = { agent, attempt };
    }
    return holder;
  }

  facts(): readonly AgentFacts[] {
    return [...this.#agents.values()].map((agent) => ({
      agent: agent.name,
      isReady: agent.status?.ready ?? false,
      isClosed: this.#isClosed(agent.name),
      slots: agent.slots(),
    }));
  }

  isDraining({ name }: ConnectedAgent): boolean {
    return nodeSpecOf(this.#resources(), name)?.draining ?? true;
  }

  /** Of agents that take sessions now, by render class. */
  freeSlots(): Readonly<Record<string, number>> {
    const free = new Map<string, number>();
    for (const { isReady, isClosed, slots } of this.facts()) {
      for (const [renderClass, slot] of slots) {
        free.set(renderClass, (free.get(renderClass) ?? 0) + (isReady && !isClosed ? slot.free : 0));
      }
    }
    return Object.fromEntries(free);
  }

  /** An agent's classes share its slots: the class that fits most often counts. */
  slotsTotal(): number {
    const open = this.facts().filter(({ isReady, isClosed }) => isReady && !isClosed);
    return open.reduce((sum, { slots }) => sum + Math.max(0, ...[...slots.values()].map(({ total }) => total)), 0);
  }

  /** The slowest agent's render and encode time of a class: what can be promised whoever is picked. */
  frameMsP95(renderClass: string): number | undefined {
    const times = this.statuses().flatMap(({ slots }) =>
      slots.flatMap((slot) => (slot.renderClass === renderClass && slot.total > 0 ? [slot.frameMsP95] : [])),
    );
    return times.length === 0 ? undefined : Math.max(...times);
  }

  statuses(): readonly AgentStatus[] {
    return [...this.#agents.values()].flatMap(({ status }) => status ?? []);
  }

  sessions(): readonly SessionStatus[] {
    return this.statuses().flatMap(({ sessions }) => sessions);
  }

  #isClosed(name: string): boolean {
    const spec = nodeSpecOf(this.#resources(), name);
    return spec === undefined || spec.cordoned || spec.draining;
  }
}
