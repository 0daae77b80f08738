/** The network between simulated edges and their origin, and between siblings: streams of real bytes over pipes that faults are done to. */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type NodeMessage,
  NodeMessageSchema,
  type OriginMessage,
  OriginMessageSchema,
} from "#contracts/generated/perigee/v1/node_pb.js";
import { Failure, isFailure } from "#domain/failure.ts";
import { type ConnectOrigin, HANDOVER } from "#edge-node/link/origin-link.ts";
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
  /** Of who first says whether it takes a stream: why not. */
  readonly refusalFor?: (peer: ConnectedPeer) => Failure | undefined;
}

/** What lies between two machines. */
export interface Path {
  delay: Delay;
  /** `refusing`: who connects is refused at once; `stalled`: nothing gets through. */
  state: "open" | "refusing" | "stalled";
}

type Item = { readonly bytes: Uint8Array } | { readonly end: Failure | undefined };

const EDGE_SIDE = "up";
const SERVER_SIDE = "down";

export interface NetworkTools {
  readonly time: VirtualClock;
  readonly random: Random;
  readonly trace: Trace;
  /** The process that a machine answers by, while it runs. */
  readonly listener: (machine: string) => Listener | undefined;
}

/** The machine that edges call the origin. */
export const ORIGIN = "origin";

interface Dialling {
  readonly process: SimulatedProcess;
  readonly peer: ConnectedPeer;
  readonly to: string;
}

export class SimulatedNetwork {
  readonly #tools: NetworkTools;
  readonly #paths = new Map<string, Path>();
  /** All that either end still holds. */
  readonly connections = new Set<Connection>();

  constructor(tools: NetworkTools) {
    this.#tools = tools;
  }

  pathBetween(one: string, other: string): Path {
    const key = [one, other].sort().join(" ");
    const known = this.#paths.get(key);
    if (known !== undefined) return known;
    const path: Path = { delay: { delayMs: 20, jitterMs: 10 }, state: "open" };
    this.#paths.set(key, path);
    return path;
  }

  /** Those that the machine has opened. */
  *from(edge: string): Generator<Connection> {
    for (const connection of this.connections) if (connection.peer.name === edge) yield connection;
  }

  *over(paths: readonly Path[]): Generator<Connection> {
    for (const connection of this.connections) if (paths.includes(connection.path)) yield connection;
  }

  /** What `OriginLink` connects by, for one process. */
  connectFrom(process: SimulatedProcess, peer: ConnectedPeer): ConnectOrigin {
    const network = this;
    return async function* (messages, signal) {
      const connection = await network.#connect({ process, peer, to: ORIGIN }, signal);
      yield* connection.run(messages, signal);
    };
  }

  /** Resolves once the sibling has accepted. */
  async dialSibling(dialling: Dialling, signal: AbortSignal): Promise<ConnectOrigin> {
    const connection = await this.#connect(dialling, signal);
    await connection.accepted(signal);
    return (messages, ending) => connection.run(messages, ending);
  }

  async #connect({ process, peer, to }: Dialling, signal: AbortSignal): Promise<Connection> {
    const path = this.pathBetween(peer.name, to);
    const listener = this.#tools.listener(to);
    if (listener === undefined || path.state === "refusing") {
      if (path.state === "stalled") await aborted(signal);
      await process.clock.sleep(2 * path.delay.delayMs, signal);
      throw new Failure("unavailable", "connection refused", { retryable: true });
    }
    const connection = new Connection(this.#tools, { edge: process, peer, to, path, listener });
    this.connections.add(connection);
    connection.onClosed = () => void this.connections.delete(connection);
    if (path.state === "stalled") connection.set("both", "stalled", "dialled into a black hole");
    return connection;
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
  readonly to: string;
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
  readonly #atServer = new Inbox<NodeMessage>();
  readonly #cancelled = new AbortController();
  readonly #answered = Promise.withResolvers<void>();
  #edge: Holding = "not-yet";
  #server: Holding = "not-yet";
  #disturbedBy: string | undefined;
  #isGivenUp = false;
  #hasRun = false;
  onClosed: () => void = () => undefined;

  constructor(tools: NetworkTools, ends: Ends) {
    this.#tools = tools;
    this.#ends = ends;
    const shared = { time: tools.time, random: tools.random, delay: () => ends.path.delay };
    this.#up = new Pipe({ ...shared, receiver: ends.listener.process.clock }, (item) => this.#arriveAtServer(item));
    this.#down = new Pipe({ ...shared, receiver: ends.edge.clock }, (item) => this.#arriveAtEdge(item));
    ends.edge.onKill(() => this.#killed("edge"));
    ends.listener.process.onKill(() => this.#killed("server"));
    // Only who has dialled waits for it.
    this.#answered.promise.catch(() => undefined);
    // The stream's own headers, before any message.
    this.#up.send({ bytes: new Uint8Array() });
  }

  get peer(): ConnectedPeer {
    return this.#ends.peer;
  }

  /** The machine that answers it. */
  get to(): string {
    return this.#ends.to;
  }

  get path(): Path {
    return this.#ends.path;
  }

  get edge(): SimulatedProcess {
    return this.#ends.edge;
  }

  get server(): SimulatedProcess {
    return this.#ends.listener.process;
  }

  /** What has been done to it or to its processes; `undefined` on a healthy connection, which nobody may give up. */
  get disturbedBy(): string | undefined {
    return this.#disturbedBy;
  }

  /** It was accepted, or is being so, and nothing was said by it. */
  get isUnused(): boolean {
    return this.#edge === "not-yet";
  }

  /** The edge has used it, or does. */
  get hasRun(): boolean {
    return this.#hasRun;
  }

  /** Who answers it counts on it: what answers it may still wait for room in the transport after that. */
  get isOpenAtServer(): boolean {
    return this.#server === "open" && !this.#isGivenUp;
  }

  /** Who answers it has said that it is over. */
  giveUpAtServer(): void {
    this.#isGivenUp = true;
  }

  /** An end counts on it, or may yet. */
  get isHeld(): boolean {
    return this.#edge !== "ended" || this.isOpenAtServer;
  }

  get isOpenAtEdge(): boolean {
    return this.#edge === "open";
  }

  get isOpenAtBoth(): boolean {
    return this.isOpenAtEdge && this.isOpenAtServer;
  }

  /** Since when nothing reaches an end that still counts on it. */
  *deadEnds(): Generator<{ readonly process: SimulatedProcess; readonly sinceMs: number }> {
    const ends = [
      [this.#edge === "open", this.edge, this.#down.deadSinceMs],
      [this.isOpenAtServer, this.server, this.#up.deadSinceMs],
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
    this.#endEdge(failure);
    this.#endServer(failure);
  }

  /** Rejects with the failure where it is refused, and the signal's reason where that is aborted first. */
  async accepted(signal: AbortSignal): Promise<void> {
    const onAbort = () => this.#answered.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      await this.#answered.promise;
    } catch (error) {
      this.#leave();
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  async *run(messages: Parameters<ConnectOrigin>[0], signal: AbortSignal): AsyncGenerator<OriginMessage> {
    const onAbort = () => {
      if (signal.reason === HANDOVER) this.disturb("left for another way");
      this.#atEdge.end(failureOf(signal.reason));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    this.#edge = "open";
    this.#hasRun = true;
    void this.#pump(this.#up, messages, NodeMessageSchema, () => this.#edge === "open");
    try {
      yield* this.#atEdge.read();
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#leave();
    }
  }

  #leave(): void {
    this.#edge = "ended";
    if (this.edge.isAlive) this.#up.send({ end: new Failure("unavailable", "the call was cancelled by its client") });
    this.#closeIfEnded();
  }

  /** A process that is killed says goodbye by its kernel, where that gets through. */
  #killed(which: "edge" | "server"): void {
    this.disturb(`the ${which} was killed`);
    const reset = new Failure("unavailable", "connection reset by peer", { retryable: true });
    if (which === "edge") {
      if (this.#edge !== "ended") this.#up.send({ end: reset });
      this.#edge = "ended";
    } else {
      if (this.#server !== "ended") this.#down.send({ end: reset });
      this.#server = "ended";
    }
    this.#closeIfEnded();
  }

  #arriveAtServer(item: Item): void {
    if ("end" in item) {
      this.#endServer(item.end);
      return;
    }
    this.#tell(EDGE_SIDE, item.bytes);
    if (item.bytes.byteLength === 0) void this.#serve();
    else this.#atServer.put(fromBinary(NodeMessageSchema, item.bytes));
  }

  #arriveAtEdge(item: Item): void {
    if ("end" in item) {
      this.#endEdge(item.end);
      return;
    }
    this.#tell(SERVER_SIDE, item.bytes);
    if (item.bytes.byteLength === 0) this.#answered.resolve();
    else this.#atEdge.put(fromBinary(OriginMessageSchema, item.bytes));
  }

  #endEdge(failure: Failure | undefined): void {
    this.#atEdge.end(failure);
    this.#answered.reject(failure ?? new Failure("unavailable", "the stream has ended", { retryable: true }));
  }

  #endServer(failure: Failure | undefined): void {
    this.#atServer.end(failure);
    if (failure !== undefined) this.#cancelled.abort(failure);
    this.#down.release();
  }

  async #serve(): Promise<void> {
    if (this.#server !== "not-yet" || this.#cancelled.signal.aborted) return;
    const { refusalFor } = this.#ends.listener;
    const refusal = refusalFor?.(this.peer);
    if (refusal !== undefined) {
      this.#server = "ended";
      this.#down.send({ end: refusal });
      this.#closeIfEnded();
      return;
    }
    this.#server = "open";
    if (refusalFor !== undefined) this.#down.send({ bytes: new Uint8Array() });
    const call: Call = { signal: this.#cancelled.signal, peer: this.peer };
    const answers = this.#ends.listener.serve(this.#atServer.read(), call);
    const failure = await this.#pump(this.#down, answers, OriginMessageSchema, () => this.#server === "open");
    if (!this.server.isAlive) return;
    this.#server = "ended";
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
    this.#tools.trace.message(this.#tools.time.monotonicMs(), `${way} ${this.peer.name} ${this.to}`, bytes);
  }

  #closeIfEnded(): void {
    if (this.#edge === "ended" && this.#server !== "open") this.onClosed();
  }
}

/** As the wire would bring it. */
function failureOf(error: unknown): Failure {
  if (isFailure(error)) return error;
  throw error;
}
