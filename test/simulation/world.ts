/** A whole installation in one process: an origin, pools of edges, the network between them, an operator and users; by one seed. */

import type { Failure } from "#domain/failure.ts";
import { isKind } from "#domain/resource.ts";
import { RelayRefused } from "#edge-node/relay/refusals.ts";
import type { LocalLog, LogRow } from "#origin/log/resource-log.ts";
import { type Written, writeResource } from "#origin/log/resources.ts";
import type { PeerIdentity } from "#platform/identity/peer.ts";
import { type Random, seededRandom } from "#platform/random.ts";
import { History } from "./history.ts";
import { type EdgePlants, peerAddressOf, SimulatedEdge } from "./simulated-edge.ts";
import { type Connection, ORIGIN, SimulatedNetwork } from "./simulated-network.ts";
import { LOG_FILE, type OriginPlants, SimulatedOrigin } from "./simulated-origin.ts";
import { ProcessKilled } from "./simulated-process.ts";
import { Trace } from "./trace.ts";
import { VirtualClock } from "./virtual-clock.ts";

export const POOLS = ["near", "far"] as const;
const EDGES_PER_POOL_MAX = 2;
/** Of the seeds: in the others every edge is linked directly. */
const RELAYS_RATIO = 0.5;
const START_MS = 1_700_000_000_000;
/** Only promises are at work here: one turn of the event loop runs all of them. */
const SETTLING_TURNS = 1;
/** Keeps what the protocols draw apart from what the faults do. */
const PROTOCOL_STREAM = 0x5eed;
const RELAYS_STREAM = 0x4e1a;

/** Bugs planted for the tests of the invariants themselves. */
export interface Plants {
  readonly origin?: OriginPlants;
  readonly edge?: EdgePlants;
}

export interface WorldOptions {
  readonly seed: number;
  readonly plants?: Plants;
  /** Whether edges of a pool hear the origin by one another; by the seed where it is left open. */
  readonly relays?: boolean;
  /** Lines for a person. */
  readonly print?: (line: string) => void;
}

/** The log as a backup has it. */
interface Backup {
  readonly contents: ReturnType<SimulatedOrigin["disk"]["backup"]>;
  readonly revision: number;
}

/** A backup was restored, and its epoch not raised. */
export interface Stale {
  readonly sinceMs: number;
  readonly revision: number;
  /** Edges that hold more than it. */
  readonly ahead: ReadonlySet<SimulatedEdge>;
}

export class World {
  readonly time = new VirtualClock(START_MS, SETTLING_TURNS);
  /** What happens to the installation. */
  readonly random: Random;
  readonly trace: Trace;
  readonly hasRelays: boolean;
  readonly history = new History();
  readonly network: SimulatedNetwork;
  readonly origin: SimulatedOrigin;
  readonly edges: readonly SimulatedEdge[];
  /** Links that were given up although nothing was done to them. */
  readonly falseDowns: string[] = [];
  /** When each edge's link rose last. */
  readonly upSinceMs = new Map<SimulatedEdge, number>();
  /** When each edge last refused a set that goes back, and said so. */
  readonly refusedAtMs = new Map<SimulatedEdge, number>();
  backup: Backup | undefined;
  stale: Stale | undefined;

  constructor({ seed, plants = {}, relays = hasRelays(seed), print }: WorldOptions) {
    const { time } = this;
    this.random = seededRandom(seed);
    this.hasRelays = relays;
    const random = seededRandom((seed ^ PROTOCOL_STREAM) >>> 0);
    this.trace = new Trace(print);
    const events = {
      linkUp: (peer: PeerIdentity) => this.tell(`origin: link of ${peer.name} is up`),
      linkDown: (peer: PeerIdentity) => this.#downAtOrigin(peer),
      identityTwice: (peer: PeerIdentity) => this.#replacedAtOrigin(peer),
      linkPutOff: (seconds: number) => this.tell(`origin: a node is to come back in ${seconds} s`),
      logBehind: (peer: PeerIdentity) => this.tell(`origin: its log is older than what ${peer.name} holds`),
    };
    this.origin = new SimulatedOrigin({ time, events, plants: plants.origin ?? {} });
    const listener = (machine: string) =>
      machine === ORIGIN
        ? this.origin.running
        : this.edges.find(({ name }) => name === machine)?.running?.relay.listener;
    this.network = new SimulatedNetwork({ time, random, trace: this.trace, listener });
    this.edges = POOLS.flatMap((pool) => this.#edgesOf(pool, random, plants.edge ?? {}));
  }

  get nowMs(): number {
    return this.time.monotonicMs();
  }

  tell(what: string): void {
    this.trace.tell(this.nowMs, what);
  }

  start(): void {
    this.origin.start();
    this.operate((log, nowMs) => [
      ...POOLS.map((name) => writeResource(log, poolOf(name, this.hasRelays), nowMs)),
      ...this.edges.map(({ peer }) => writeResource(log, nodeOf(peer), nowMs)),
    ]);
    for (const edge of this.edges) edge.start();
  }

  /** Who starts with a set knows its siblings, and asks them first: else each is linked directly for half a minute. */
  restartEdges(): void {
    for (const edge of this.edges) {
      edge.kill();
      edge.start();
    }
  }

  /** As an operator does it: what is answered is acknowledged; without an answer it may have happened or not. */
  operate(change: (log: LocalLog, nowMs: number) => readonly LogRow[]): void {
    const { running } = this.origin;
    if (running === undefined || this.stale !== undefined) return;
    try {
      const rows = change(running.log, Math.floor(running.process.clock.nowMs()));
      const newer = rows.filter(({ revision }) => revision > this.history.revision);
      this.history.add(newer);
      for (const { revision, kind, name, deleted } of newer)
        this.tell(`log: ${revision} ${kind}/${name}${deleted ? " deleted" : ""}`);
    } catch (error) {
      if (!(error instanceof ProcessKilled)) throw error;
      const rows = this.origin.disk.read(LOG_FILE, "SELECT * FROM rows WHERE revision > ?", this.history.revision);
      this.history.add(rows.map(rowOf));
      this.tell(`log: nobody answered, ${rows.length} rows are there`);
    }
  }

  connectionsOf(edge: SimulatedEdge): readonly Connection[] {
    return [...this.network.from(edge.name)];
  }

  [Symbol.dispose](): void {
    for (const edge of this.edges) edge[Symbol.dispose]();
    this.origin[Symbol.dispose]();
  }

  #edgesOf(pool: string, random: Random, plants: EdgePlants): SimulatedEdge[] {
    const count = (this.hasRelays ? 2 : 1) + this.random.integer(EDGES_PER_POOL_MAX);
    return Array.from({ length: count }, (_, index) => {
      const peer = { role: "edge", pool, name: `${pool}-${index + 1}`, serial: "1" } as const;
      return new SimulatedEdge({
        ...{ peer, random, plants, time: this.time },
        network: () => this.network,
        events: {
          up: (edge) => {
            this.upSinceMs.set(edge, this.nowMs);
            this.tell(`${edge.name}: link is up`);
          },
          down: (edge, reason) => this.#downAtEdge(edge, reason),
          linkedBy: (edge, relay) => this.tell(`${edge.name}: hears the origin by ${relay ?? "itself"}`),
          refused: (edge, { code, message }) => {
            if (code === "epoch-regressed") this.refusedAtMs.set(edge, this.nowMs);
            this.tell(`${edge.name}: refused ${code}, ${message}`);
          },
        },
      });
    });
  }

  /** Those by which it is linked directly, in the origin's eyes. */
  #countedOn(name: string): readonly Connection[] {
    return [...this.network.from(name)].filter(({ to, isOpenAtServer }) => to === ORIGIN && isOpenAtServer);
  }

  #replacedAtOrigin({ name }: PeerIdentity): void {
    this.tell(`origin: another process is ${name}`);
    for (const connection of this.#countedOn(name).slice(0, -1)) connection.giveUpAtServer();
  }

  #downAtOrigin({ name }: PeerIdentity): void {
    this.tell(`origin: link of ${name} is down`);
    const newest = this.#countedOn(name).at(-1);
    newest?.giveUpAtServer();
    if (newest !== undefined && newest.disturbedBy === undefined) this.falseDowns.push(`origin gave ${name} up`);
  }

  #downAtEdge(edge: SimulatedEdge, reason: Failure): void {
    this.upSinceMs.delete(edge);
    this.tell(`${edge.name}: link is down, ${reason.message}`);
    const newest = this.connectionsOf(edge).findLast(({ hasRun }) => hasRun);
    // A sibling that does not relay any more has said why, over a connection that is well.
    if (newest === undefined || newest.disturbedBy !== undefined || reason instanceof RelayRefused) return;
    this.falseDowns.push(`${edge.name} gave its link up: ${reason.message}`);
  }
}

function hasRelays(seed: number): boolean {
  return seededRandom((seed ^ RELAYS_STREAM) >>> 0).ratio() < RELAYS_RATIO;
}

function poolOf(name: string, relay: boolean): Written {
  const spec = {
    region: "simulated",
    coordinates: { latitude: 0, longitude: 0 },
    autonomyDurationSeconds: 3600,
    relay,
  };
  return { kind: "NodePool", metadata: { name, labels: {} }, spec };
}

function nodeOf({ name, pool }: PeerIdentity): Written {
  const peerAddress = peerAddressOf(name);
  const spec = { role: "edge", pool, cordoned: false, draining: false, peerAddress } as const;
  return { kind: "Node", metadata: { name, labels: {} }, spec };
}

function rowOf(columns: Readonly<Record<string, unknown>>): LogRow {
  const kind = String(columns["kind"]);
  if (!isKind(kind)) throw new Error(`a row of the unknown kind ${kind}`);
  const deleted = columns["deleted"] === 1;
  return {
    revision: Number(columns["revision"]),
    kind,
    name: String(columns["name"]),
    deleted,
    json: String(columns["json"]),
  };
}
