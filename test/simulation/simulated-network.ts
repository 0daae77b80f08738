/** The network between simulated edges and their origin: gRPC streams of real bytes over pipes that faults are done to. */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type NodeMessage,
  NodeMessageSchema,
  type OriginMessage,
  OriginMessageSchema,
} from "#contracts/generated/perigee/v1/node_pb.js";
import { Failure, isFailure } from "#domain/failure.ts";
import type { ConnectOrigin } from "#edge-node/link/origin-link.ts";
import type { Call } from "#platform/grpc/server.ts";
import type { ConnectedPeer } from "#platform/identity/peer.ts";
import type { Random } from "#platform/random.ts";
import { Inbox } from "./inbox.ts";
import { type Delay, Pipe, type PipeState } from "./pipe.ts";
import { ProcessKilled, type SimulatedProcess } from "./simulated-process.ts";
import type { Trace } from "./trace.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** What answers a stream; a process that listens. */
export interface Listener {
  readonly process: SimulatedProcess;
  readonly serve: (
    messages: AsyncIterable<NodeMessage>,
    call: Call,
  ) => AsyncIterable<MessageInitShape<typeof OriginMessageSchema>>;
}

/** What lies between one edge and the origin. */
export interface Path {
  delay: Delay;
  /** `refusing`: who connects is refused at once; `stalled`: nothing gets through. */
  state: "open" | "refusing" | "stalled";
}

type Item = { readonly bytes: Uint8Array } | { readonly end: Failure | undefined };

const EDGE_SIDE = "up";
const ORIGIN_SIDE = "down";

export interface NetworkTools {
  readonly time: VirtualClock;
  readonly random: Random;
  readonly trace: Trace;
  readonly listener: () => Listener | undefined;
}

export class SimulatedNetwork {
  readonly #tools: NetworkTools;
  readonly #paths = new Map<string, Path>();
  /** All that either end still holds. */
  readonly connections = new Set<Connection>();

  constructor(tools: NetworkTools) {
    this.#tools = tools;
  }

  pathOf(edge: string): Path {
    const known = this.#paths.get(edge);
    if (known !== undefined) return known;
    const path: Path = { delay: { delayMs: 20, jitterMs: 10 }, state: "open" };
    this.#paths.set(edge, path);
    return path;
  }

  *between(edge: string): Generator<Connection> {
    for (const connection of this.connections) if (connection.peer.name === edge) yield connection;
  }

  /** What `OriginLink` connects by, for one process. */
  connectFrom(process: SimulatedProcess, peer: ConnectedPeer): ConnectOrigin {
    const network = this;
    return async function* (messages, signal) {
      const path = network.pathOf(peer.name);
      const listener = network.#tools.listener();
      if (listener === undefined || path.state === "refusing") {
        if (path.state === "stalled") await aborted(signal);
        await process.clock.sleep(2 * path.delay.delayMs, signal);
        throw new Failure("unavailable", "connection refused", { retryable: true });
      }
      const connection = new Connection(network.#tools, { edge: process, peer, path, listener });
      network.connections.add(connection);
      connection.onClosed = () => void network.connections.delete(connection);
      if (path.state === "stalled") connection.set("both", "stalled", "dialled into a black hole");
      yield* connection.run(messages, signal);
    };
  }
}

/** Rejects when it is. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

export interface Ends {
  readonly edge: SimulatedProcess;
  readonly peer: ConnectedPeer;
  readonly path: Path;
  readonly listener: Listener;
}

/** Which of a connection's processes still holds its end of it. */
type Holding = "not-yet" | "open" | "ended";

export class Connection {
  readonly #tools: NetworkTools;
  readonly #ends: Ends;
  readonly #up: Pipe<Item>;
  readonly #down: Pipe<Item>;
  readonly #atEdge = new Inbox<OriginMessage>();
  readonly #atOrigin = new Inbox<NodeMessage>();
  readonly #cancelled = new AbortController();
  #edge: Holding = "open";
  #origin: Holding = "not-yet";
  #disturbedBy: string | undefined;
  #isGivenUp = false;
  onClosed: () => void = () => undefined;

  constructor(tools: NetworkTools, ends: Ends) {
    this.#tools = tools;
    this.#ends = ends;
    const shared = { time: tools.time, random: tools.random, delay: () => ends.path.delay };
    this.#up = new Pipe({ ...shared, receiver: ends.listener.process.clock }, (item) => this.#arriveAtOrigin(item));
    this.#down = new Pipe({ ...shared, receiver: ends.edge.clock }, (item) => this.#arriveAtEdge(item));
    ends.edge.onKill(() => this.#killed("edge"));
    ends.listener.process.onKill(() => this.#killed("origin"));
  }

  get peer(): ConnectedPeer {
    return this.#ends.peer;
  }

  get edge(): SimulatedProcess {
    return this.#ends.edge;
  }

  get origin(): SimulatedProcess {
    return this.#ends.listener.process;
  }

  /** What has been done to it or to its processes; `undefined` on a healthy connection, which nobody may give up. */
  get disturbedBy(): string | undefined {
    return this.#disturbedBy;
  }

  /** The origin counts on it: what answers it may still wait for room in the transport after that. */
  get isOpenAtOrigin(): boolean {
    return this.#origin === "open" && !this.#isGivenUp;
  }

  /** The origin has said that it is over. */
  giveUpAtOrigin(): void {
    this.#isGivenUp = true;
  }

  get isOpenAtBoth(): boolean {
    return this.#edge === "open" && this.isOpenAtOrigin;
  }

  /** Since when nothing reaches an end that still counts on it. */
  *deadEnds(): Generator<{ readonly process: SimulatedProcess; readonly sinceMs: number }> {
    const ends = [
      [this.#edge === "open", this.edge, this.#down.deadSinceMs],
      [this.isOpenAtOrigin, this.origin, this.#up.deadSinceMs],
    ] as const;
    for (const [isOpen, process, sinceMs] of ends) {
      if (isOpen && process.isAlive && sinceMs !== undefined) yield { process, sinceMs };
    }
  }

  get itemsUnderWay(): number {
    return Math.max(this.#up.size, this.#down.size);
  }

  disturb(by: string): void {
    this.#disturbedBy ??= by;
  }

  set(way: "up" | "down" | "both", state: PipeState, by: string): void {
    this.disturb(by);
    if (way !== "down") this.#up.set(state);
    if (way !== "up") this.#down.set(state);
  }

  /** Both ends hear of it at once, as of a loss that breaks it. */
  reset(by: string): void {
    this.disturb(by);
    const failure = new Failure("unavailable", `connection reset: ${by}`, { retryable: true });
    this.#atEdge.end(failure);
    this.#endOrigin(failure);
  }

  async *run(messages: Parameters<ConnectOrigin>[0], signal: AbortSignal): AsyncGenerator<OriginMessage> {
    const onAbort = () => this.#atEdge.end(failureOf(signal.reason));
    signal.addEventListener("abort", onAbort, { once: true });
    void this.#pump(this.#up, messages, NodeMessageSchema, () => this.#edge === "open");
    // The stream's own headers, before any message.
    this.#up.send({ bytes: new Uint8Array() });
    try {
      yield* this.#atEdge.read();
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#edge = "ended";
      if (this.edge.isAlive) this.#up.send({ end: new Failure("unavailable", "the call was cancelled by its client") });
      this.#closeIfEnded();
    }
  }

  /** A process that is killed says goodbye by its kernel, where that gets through. */
  #killed(which: "edge" | "origin"): void {
    this.disturb(`the ${which} was killed`);
    const reset = new Failure("unavailable", "connection reset by peer", { retryable: true });
    if (which === "edge") {
      if (this.#edge === "open") this.#up.send({ end: reset });
      this.#edge = "ended";
    } else {
      if (this.#origin !== "ended") this.#down.send({ end: reset });
      this.#origin = "ended";
    }
    this.#closeIfEnded();
  }

  #arriveAtOrigin(item: Item): void {
    if ("end" in item) {
      this.#endOrigin(item.end);
      return;
    }
    this.#tell(EDGE_SIDE, item.bytes);
    if (item.bytes.byteLength === 0) void this.#serve();
    else this.#atOrigin.put(fromBinary(NodeMessageSchema, item.bytes));
  }

  #arriveAtEdge(item: Item): void {
    if ("end" in item) {
      this.#atEdge.end(item.end);
      return;
    }
    this.#tell(ORIGIN_SIDE, item.bytes);
    this.#atEdge.put(fromBinary(OriginMessageSchema, item.bytes));
  }

  #endOrigin(failure: Failure | undefined): void {
    this.#atOrigin.end(failure);
    if (failure !== undefined) this.#cancelled.abort(failure);
    this.#down.release();
  }

  async #serve(): Promise<void> {
    if (this.#origin !== "not-yet" || this.#cancelled.signal.aborted) return;
    this.#origin = "open";
    const call: Call = { signal: this.#cancelled.signal, peer: this.peer };
    const answers = this.#ends.listener.serve(this.#atOrigin.read(), call);
    const failure = await this.#pump(this.#down, answers, OriginMessageSchema, () => this.#origin === "open");
    if (!this.origin.isAlive) return;
    this.#origin = "ended";
    this.#down.send({ end: failure });
    this.#closeIfEnded();
  }

  /** At the pace of the pipe; gives why it ended where that was a failure. */
  async #pump<S extends typeof NodeMessageSchema | typeof OriginMessageSchema>(
    pipe: Pipe<Item>,
    messages: AsyncIterable<MessageInitShape<S>>,
    schema: S,
    isHeld: () => boolean,
  ): Promise<Failure | undefined> {
    try {
      for await (const message of messages) {
        if (!isHeld()) return undefined;
        pipe.send({ bytes: toBinary(schema, create(schema, message)) });
        await pipe.room();
      }
      return undefined;
    } catch (error) {
      if (error instanceof ProcessKilled) return undefined;
      return failureOf(error);
    }
  }

  #tell(way: string, bytes: Uint8Array): void {
    this.#tools.trace.message(this.#tools.time.monotonicMs(), `${way} ${this.peer.name}`, bytes);
  }

  #closeIfEnded(): void {
    if (this.#edge === "ended" && this.#origin !== "open") this.onClosed();
  }
}

/** As the wire would bring it. */
function failureOf(error: unknown): Failure {
  if (isFailure(error)) return error;
  throw error;
}
