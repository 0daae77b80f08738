/** A TCP proxy that behaves like a longer wire: delay, jitter, loss, rate, and faults switched on while it runs. */
import { connect, createServer, type Socket } from "node:net";
import type { Address } from "../address.ts";
import { closeServer, listen } from "../http/listening.ts";
import { DelayLine } from "./delay-line.ts";
import { type LinkOptions, LinkPath, type LinkSources } from "./path.ts";

/** Bytes one direction of one connection has in flight before its sender is held back: 35 MB/s at 60 ms RTT. */
export const TCP_LINK_IN_FLIGHT_BYTES_MAX = 1024 * 1024;
/** Connections at a time; more are reset. */
export const TCP_LINK_CONNECTIONS_MAX = 1_024;
/** Bytes of a segment on an Ethernet path with timestamps, for counting the packets of a chunk. */
const SEGMENT_BYTES = 1_448;
/** A lost segment is sent again after a round trip (RFC 5681, fast retransmit), at the least after this. */
const RETRANSMISSION_MS_MIN = 10;

export interface TcpLinkOptions extends LinkOptions, LinkSources {
  readonly listen: Address;
  readonly target: Address;
}

export interface Link extends AsyncDisposable {
  /** Where the link listens. */
  readonly address: Address;
  /** Changes the path for what sets out from now on. */
  set(options: LinkOptions): void;
  /** Refuses: TCP connections are reset, new ones as well; datagrams are dropped. */
  cut(): void;
  /** Swallows: nothing arrives, nobody is told. TCP bytes arrive after `restore`, as retransmission would bring them. */
  halfOpen(): void;
  restore(): void;
}

export interface TcpLink extends Link {
  /** Since its start, refused ones included: who waits for a peer to dial again sees it here. */
  readonly connectionsTaken: number;
}

type Passage =
  | { readonly kind: "open" }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "end" }
  | { readonly kind: "reset" };

type LinkState = "up" | "cut" | "half-open";

interface Wire {
  readonly forward: LinkPath;
  readonly backward: LinkPath;
  readonly clock: LinkSources["clock"];
  readonly target: Address;
}

/** One direction of one connection. */
class Direction {
  readonly line: DelayLine<Passage>;
  readonly #path: LinkPath;
  readonly #wire: Wire;
  readonly #readyAtMs: number;

  /** What sets out before `readyAtMs` (the end of the handshake) sets out then. */
  constructor(wire: Wire, path: LinkPath, readyAtMs: number, source: Socket, deliver: (passage: Passage) => boolean) {
    this.#wire = wire;
    this.#path = path;
    this.#readyAtMs = readyAtMs;
    const resumeBelow = TCP_LINK_IN_FLIGHT_BYTES_MAX / 2;
    this.line = new DelayLine({
      clock: wire.clock,
      deliver,
      onDelivered: (bytes) => {
        if (bytes < resumeBelow && source.isPaused()) source.resume();
      },
    });
    source.on("data", (bytes: Buffer) => {
      this.#send({ kind: "bytes", bytes }, bytes.length);
      if (this.line.bytesInFlight >= TCP_LINK_IN_FLIGHT_BYTES_MAX) source.pause();
    });
    source.on("end", () => this.#send({ kind: "end" }, 0));
    // A socket that closes before both its sides have ended was reset.
    source.on("close", () => {
      if (!source.readableEnded || !source.writableFinished) this.#send({ kind: "reset" }, 0);
    });
  }

  #send(passage: Passage, bytes: number): void {
    const startMs = Math.max(this.#wire.clock.monotonicMs(), this.#readyAtMs);
    const lost = this.#path.loses(Math.ceil(bytes / SEGMENT_BYTES));
    const againMs = lost ? Math.max(RETRANSMISSION_MS_MIN, this.#path.options.rttMs) : 0;
    this.line.push(passage, this.#path.arrivalMs(bytes, startMs) + againMs, bytes);
  }
}

/** A client's connection and the one toward the target that is made half a round trip later. */
class Connection {
  readonly #wire: Wire;
  readonly #client: Socket;
  readonly #forward: Direction;
  #backward: Direction | undefined;
  #upstream: Socket | undefined;
  #frozen = false;
  readonly #onClose: () => void;

  /** `onClose` is called when either socket has closed. */
  constructor(wire: Wire, client: Socket, onClose: () => void) {
    this.#onClose = onClose;
    this.#wire = wire;
    this.#client = client;
    const nowMs = wire.clock.monotonicMs();
    const readyAtMs = nowMs + wire.forward.options.rttMs;
    // A broken connection says so by `close` as well, which passes it on.
    client.on("error", () => undefined);
    client.once("close", () => {
      this.#backward?.line.resume();
      onClose();
    });
    this.#forward = new Direction(wire, wire.forward, readyAtMs, client, (passage) => this.#arriveUpstream(passage));
    this.#forward.line.push({ kind: "open" }, nowMs + wire.forward.options.rttMs / 2, 0);
  }

  /** Whether nothing is left of it, also nothing that is still under way. */
  get isOver(): boolean {
    return this.#client.destroyed && this.#upstream?.destroyed === true;
  }

  setFrozen(frozen: boolean): void {
    this.#frozen = frozen;
    this.#forward.line.setFrozen(frozen);
    this.#backward?.line.setFrozen(frozen);
  }

  reset(): void {
    this.#forward.line.clear();
    this.#backward?.line.clear();
    this.#client.resetAndDestroy();
    this.#upstream?.resetAndDestroy();
  }

  #arriveUpstream(passage: Passage): boolean {
    if (passage.kind === "open") {
      this.#open();
      return false;
    }
    return this.#upstream === undefined || arrive(this.#upstream, passage, this.#forward.line);
  }

  #open(): void {
    const { host, port } = this.#wire.target;
    const upstream = connect({ host, port, allowHalfOpen: true, noDelay: true });
    this.#upstream = upstream;
    upstream.on("error", () => undefined);
    upstream.once("connect", () => this.#forward.line.resume());
    upstream.once("close", () => {
      this.#forward.line.resume();
      this.#onClose();
    });
    const backward: Direction = new Direction(this.#wire, this.#wire.backward, 0, upstream, (passage) =>
      arrive(this.#client, passage, backward.line),
    );
    this.#backward = backward;
    backward.line.setFrozen(this.#frozen);
  }
}

function arrive(socket: Socket, passage: Passage, line: DelayLine<Passage>): boolean {
  if (socket.destroyed) return true;
  switch (passage.kind) {
    case "bytes": {
      const taken = socket.write(passage.bytes);
      if (!taken) socket.once("drain", () => line.resume());
      return taken;
    }
    case "end":
      socket.end();
      return true;
    case "reset":
      socket.resetAndDestroy();
      return true;
    case "open":
      return true;
  }
}

export async function startTcpLink(options: TcpLinkOptions): Promise<TcpLink> {
  const wire: Wire = {
    forward: new LinkPath(options, options),
    backward: new LinkPath(options, options),
    clock: options.clock,
    target: options.target,
  };
  const connections = new Set<Connection>();
  let state: LinkState = "up";
  let connectionsTaken = 0;
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    connectionsTaken += 1;
    if (state === "cut" || connections.size >= TCP_LINK_CONNECTIONS_MAX) {
      client.on("error", () => undefined);
      client.resetAndDestroy();
      return;
    }
    const connection: Connection = new Connection(wire, client, () => {
      if (connection.isOver) connections.delete(connection);
    });
    connections.add(connection);
    if (state === "half-open") connection.setFrozen(true);
  });
  const resetAll = (): void => {
    for (const connection of connections) connection.reset();
    connections.clear();
  };
  const enter = (next: LinkState): void => {
    state = next;
    if (next === "cut") resetAll();
    else for (const connection of connections) connection.setFrozen(next === "half-open");
  };
  const address = await listen(server, options.listen);
  return {
    address,
    get connectionsTaken() {
      return connectionsTaken;
    },
    set: (changed) => {
      wire.forward.options = changed;
      wire.backward.options = changed;
    },
    cut: () => enter("cut"),
    halfOpen: () => enter("half-open"),
    restore: () => enter("up"),
    [Symbol.asyncDispose]: async () => {
      resetAll();
      await closeServer(server);
    },
  };
}
