/** Keeps every edge's state: gathers evidence, probes those whose link is not up, and tells the origin what has changed. */
import type { NodeState } from "#domain/fleet/node.ts";
import type { Clock } from "#platform/clock.ts";
import type { FleetEdge, NodeStanding } from "../facts/fleet.ts";
import { EvidenceBook } from "./evidence.ts";
import { decideNodeState, INITIAL_STATE, type NodeEvidence, SILENCE_MS_MAX } from "./node-state.ts";

const TURN_MS = 1000;
/** Three tries before ten seconds of silence are over. */
export const PROBE_EVERY_MS = 3000;
/** Of this scheduler at once; with all of 10,000 links down each is probed every half minute. */
export const PROBES_MAX = 64;
const SELF = "scheduler";

export interface NodeWatchPorts {
  readonly clock: Clock;
  readonly fleet: {
    listEdgeNames(): readonly string[];
    findEdge(node: string): FleetEdge | undefined;
    setStanding(node: string, standing: NodeStanding): void;
  };
  /** True where the edge gave a signed answer; never throws. */
  readonly probe: (edge: FleetEdge) => Promise<boolean>;
  readonly events: { stateChanged(change: StateChange, from: NodeState): void };
}

export interface StateChange {
  readonly node: string;
  readonly state: NodeState;
  /** Epoch milliseconds. */
  readonly sinceMs: number;
}

/** False where it cannot be told now: it is tried again. */
export type TellStates = (states: readonly StateChange[]) => boolean;

export class NodeWatch implements Disposable {
  readonly #ports: NodeWatchPorts;
  readonly #evidence = new EvidenceBook();
  readonly #states = new Map<string, StateChange>();
  readonly #untold = new Set<string>();
  readonly #probedMs = new Map<string, number>();
  readonly #turns: Disposable;
  #probing = 0;
  #tell: TellStates | undefined;

  constructor(ports: NodeWatchPorts) {
    this.#ports = ports;
    this.#turns = ports.clock.every(TURN_MS, () => this.turn());
  }

  setLink(node: string, isUp: boolean): void {
    this.#evidence.setLink(node, isUp, this.#ports.clock.monotonicMs());
    this.#reconsider(node);
  }

  /** The origin has told of all links. */
  knowLinks(): void {
    this.#evidence.knowLinks();
    this.turn();
  }

  /** The origin can tell of no links any more. */
  loseLinks(): void {
    this.#evidence.loseLinks(this.#ports.clock.monotonicMs());
    this.turn();
  }

  /** All that is known, then what changes; undefined while this replica's word does not count at the origin. */
  tellTo(tell: TellStates | undefined): void {
    this.#tell = tell;
    for (const node of this.#states.keys()) this.#untold.add(node);
    this.#tellChanges();
  }

  answered(node: string): void {
    this.#evidence.answered(node, this.#ports.clock.monotonicMs());
    this.#reconsider(node);
  }

  /** `observer` is a client's network, which counts once. */
  failed(node: string, observer: string): void {
    this.#evidence.failed(node, observer, this.#ports.clock.monotonicMs());
    this.#reconsider(node);
  }

  counts(): Readonly<Record<NodeState, number>> {
    const counts = { connected: 0, "cut-off": 0, dead: 0 };
    for (const { state } of this.#states.values()) counts[state] += 1;
    return counts;
  }

  turn(): void {
    const nodes = new Set(this.#ports.fleet.listEdgeNames());
    this.#evidence.retain(nodes);
    for (const kept of [this.#states, this.#probedMs]) {
      for (const node of [...kept.keys()]) if (!nodes.has(node)) kept.delete(node);
    }
    for (const node of nodes) this.#reconsider(node);
    this.#probeSilent(nodes);
    this.#tellChanges();
  }

  [Symbol.dispose](): void {
    this.#turns[Symbol.dispose]();
  }

  #reconsider(node: string): void {
    const { clock, fleet, events } = this.#ports;
    const nowMs = clock.monotonicMs();
    const evidence = this.#evidence.of(node, nowMs);
    const before = this.#states.get(node);
    const state = decideNodeState(before?.state ?? INITIAL_STATE, evidence, nowMs);
    if (before?.state !== state) {
      const change = { node, state, sinceMs: Math.floor(clock.nowMs()) };
      this.#states.set(node, change);
      this.#untold.add(node);
      if (before !== undefined) events.stateChanged(change, before.state);
    }
    fleet.setStanding(node, { state, isHeard: isHeard(evidence, nowMs) });
  }

  /** Those that have waited longest first. */
  #probeSilent(nodes: Iterable<string>): void {
    const { clock, fleet } = this.#ports;
    const nowMs = clock.monotonicMs();
    const due = [...nodes].flatMap((node) => {
      const lastMs = this.#probedMs.get(node) ?? Number.NEGATIVE_INFINITY;
      const isDue = nowMs - lastMs >= PROBE_EVERY_MS && !this.#evidence.of(node, nowMs).isLinkUp;
      const edge = isDue ? fleet.findEdge(node) : undefined;
      return edge === undefined ? [] : [{ edge, lastMs }];
    });
    due.sort((a, b) => (a.lastMs === b.lastMs ? 0 : a.lastMs - b.lastMs));
    for (const { edge } of due.slice(0, PROBES_MAX - this.#probing)) {
      this.#probedMs.set(edge.node, nowMs);
      this.#probing += 1;
      void this.#probe(edge);
    }
  }

  async #probe(edge: FleetEdge): Promise<void> {
    const hasAnswered = await this.#ports.probe(edge);
    this.#probing -= 1;
    if (hasAnswered) this.answered(edge.node);
    else this.failed(edge.node, SELF);
  }

  #tellChanges(): void {
    if (this.#tell === undefined || this.#untold.size === 0) return;
    const changes = [...this.#untold].flatMap((node) => this.#states.get(node) ?? []);
    if (this.#tell(changes)) this.#untold.clear();
  }
}

/** A failure since the last sign of life counts at once: a user is not sent where the last try failed. */
function isHeard({ isLinkUp, linkLastUpMs, lastAnsweredMs, failingObservers }: NodeEvidence, nowMs: number): boolean {
  const lastMs = Math.max(linkLastUpMs ?? Number.NEGATIVE_INFINITY, lastAnsweredMs ?? Number.NEGATIVE_INFINITY);
  return isLinkUp || (failingObservers === 0 && nowMs - lastMs <= SILENCE_MS_MAX);
}
