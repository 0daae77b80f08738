/** The front of an edge: connections of HTTP/1.1 on two lanes, in the clear or inside TLS, and their limits. */
import type { EventEmitter } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTcpServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { assert } from "#domain/assert.ts";
import { Failure } from "#domain/failure.ts";
import type { Address } from "#platform/address.ts";
import { listen, type PortSharing } from "#platform/http/listening.ts";
import { networkOf } from "../access/client-address.ts";
import { accessLine, answerText, clientText } from "../access-log/access-line.ts";
import { type Answering, answerLogged } from "../access-log/logged-request.ts";
import type { CacheOutcome, EdgeEvents } from "../events.ts";
import { sendProblem } from "../published/problems.ts";
import type { Scheme } from "../request/edge-request.ts";
import { SocketReader } from "./buffered-socket.ts";
import { ClientConnections } from "./client-connections.ts";
import type { ClientSocket } from "./client-socket.ts";
import { CONNECTION_IDLE_MS_MAX, Connection, REQUEST_HEAD_MS_MAX } from "./connection.ts";
import { CountedResponse } from "./counted-response.ts";
import { FastLane, type FastLaneOptions } from "./fast-lane.ts";
import { refuseFraming } from "./framing.ts";
import { LaneSocket } from "./lane-socket.ts";
import { H2Request } from "./tls/h2-request.ts";

const REQUEST_HEAD_BYTES_MAX = 16 * 1024;
/** From the first byte of a request to the last of its content. */
const REQUEST_MS_MAX = 300_000;
export const CONNECTIONS_MAX = 8_192;
/** An answer waits in memory for its client up to this; then no further request of the connection is read. */
export const WRITE_BUFFERED_BYTES = 64 * 1024;
/** How often connections are looked at. */
const LOOK_MS = 1_000;

export type FrontEvents = Pick<EdgeEvents, "broke" | "connectionRefused" | "malformed" | "served"> &
  FastLaneOptions["events"];

/** Takes connections, as LaneSockets, at "connection": what the fast lane does not answer is its to answer. */
export interface FullLane extends EventEmitter {
  closeIdleConnections(): void;
  close(): void;
}

type NodeLane = Server<typeof IncomingMessage, typeof CountedResponse>;

export interface FrontOptions extends Omit<FastLaneOptions, "events"> {
  /** Needed where node:http answers. */
  readonly handle?: Answering;
  readonly events: FrontEvents;
  /** In place of node:http here, which then answers nothing. */
  readonly full?: FullLane;
}

export class Front implements AsyncDisposable {
  readonly #options: FrontOptions;
  readonly #fast: FastLane;
  readonly #full: FullLane;
  readonly #reader = new SocketReader({ writeBufferedBytes: WRITE_BUFFERED_BYTES });
  readonly #clients = new ClientConnections();
  readonly #connections = new Set<Connection>();
  readonly #looking: Disposable;
  #onEmpty = () => {};

  constructor(options: FrontOptions) {
    this.#options = options;
    this.#fast = new FastLane(options);
    this.#full = options.full ?? this.#openFullLane();
    this.#looking = options.clock.every(LOOK_MS, () => this.#look());
  }

  /** Takes a connection that speaks HTTP/1.1. `onAnswered` as a `Connection` has it. */
  accept(socket: ClientSocket, scheme: Scheme, onAnswered?: () => void): void {
    const connection = this.#take(socket, scheme, onAnswered);
    if (connection !== undefined) socket.on("data", (chunk: Buffer) => connection.receive(chunk));
  }

  /** Takes a connection of a server that pauses what it accepts: HTTP/1.1 in the clear. */
  acceptPaused(accepted: Socket): void {
    const buffered = this.#reader.take(accepted);
    if (buffered.onBytes === undefined) {
      this.accept(accepted, "http");
      accepted.resume();
      return;
    }
    const connection = this.#take(buffered.socket, "http");
    if (connection === undefined) return;
    buffered.onBytes = (bytes) => connection.receive(bytes);
    buffered.socket.resume();
  }

  #take(socket: ClientSocket, scheme: Scheme, onAnswered?: () => void): Connection | undefined {
    const { events } = this.#options;
    const client = networkOf(socket.remoteAddress ?? "");
    const refusal = this.#connections.size >= CONNECTIONS_MAX ? "connections" : undefined;
    const because = refusal ?? (this.#clients.add(client) ? undefined : "connections-of-client");
    if (because !== undefined) {
      socket.on("error", () => {});
      socket.destroy();
      events.connectionRefused(because);
      return undefined;
    }
    const onClosed = (connection: Connection) => {
      this.#connections.delete(connection);
      this.#clients.remove(client);
      if (this.#connections.size === 0) this.#onEmpty();
    };
    const parts = { fast: this.#fast, full: this.#full, onClosed, ...(onAnswered && { onAnswered }) };
    const connection = new Connection(parts, socket, scheme);
    this.#connections.add(connection);
    return connection;
  }

  /** Takes no further request, and resolves when the answers that are being sent are; after `graceMs` they are cut. */
  async stop(graceMs: number): Promise<void> {
    const empty = Promise.withResolvers<void>();
    this.#onEmpty = empty.resolve;
    for (const connection of this.#connections) connection.stop();
    this.#full.closeIdleConnections();
    if (this.#connections.size > 0 && graceMs > 0) {
      using _late = this.#options.clock.timer(graceMs, empty.resolve);
      await empty.promise;
    }
    for (const connection of this.#connections) connection.destroy();
    this.#looking[Symbol.dispose]();
    this.#full.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop(0);
  }

  /** Answers a request of the full lane, or of another listener, and writes it down. Throws what is a bug. */
  answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const answering = (...exchange: Parameters<Answering>) => answer(this.#options, ...exchange);
    return answerLogged({ ...this.#options, log: this.#options.log }, answering, incoming, response);
  }

  /** node:http in strict mode, which never listens: it is given connections. */
  #openFullLane(): NodeLane {
    const { events } = this.#options;
    const strictness = { insecureHTTPParser: false, requireHostHeader: true, maxHeaderSize: REQUEST_HEAD_BYTES_MAX };
    const times = { headersTimeout: REQUEST_HEAD_MS_MAX, requestTimeout: REQUEST_MS_MAX, keepAliveTimeout: 0 };
    const parts = { ...strictness, ...times, ServerResponse: CountedResponse };
    const server = createServer(parts, (incoming, response) => {
      const { socket } = incoming;
      if (socket instanceof LaneSocket) {
        if (socket.hadLast) return;
        response.once("close", () => socket.answered());
      }
      this.answer(incoming, response).catch(events.broke);
    });
    server.timeout = CONNECTION_IDLE_MS_MAX;
    // By default what comes after 2,000 fields is dropped in silence.
    server.maxHeadersCount = 0;
    server.on("clientError", (error: Error, socket: Duplex) => this.#refuseMalformed(error, socket));
    // Where it would listen, it begins to look for requests that come too slowly.
    server.emit("listening");
    return server;
  }

  #refuseMalformed(error: Error, socket: Duplex): void {
    const code = "code" in error ? error.code : undefined;
    if (code === "ECONNRESET" || !socket.writable) {
      socket.destroy();
      return;
    }
    const reason = STATUSES.get(code) ?? "400 Bad Request";
    const status = Number.parseInt(reason, 10);
    this.#options.events.malformed(status);
    this.#noteMalformed(status, "remoteAddress" in socket ? String(socket.remoteAddress) : "");
    socket.write(`HTTP/1.1 ${reason}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    if (socket instanceof LaneSocket) socket.destroySoon();
    else socket.end();
  }

  #noteMalformed(status: number, remoteAddress: string): void {
    const { log, clock } = this.#options;
    const client = clientText({ remoteAddress, host: undefined, protocol: "HTTP/1.1", userAgent: undefined });
    const answer = answerText({ status, bytes: 0, cache: "refused" });
    const time = log?.timeOf(clock.nowMs()) ?? "";
    log?.write(accessLine({ time, client, method: "", target: "", answer, durationUs: 0 }));
  }

  #look(): void {
    for (const connection of this.#connections) connection.look(LOOK_MS);
  }
}

/** Refuses what node:http lets through, and leaves the rest to `handle`. */
async function answer(
  { handle, events }: FrontOptions,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<CacheOutcome | undefined> {
  assert(handle !== undefined, "what answers has been given");
  const { method = "", url = "" } = incoming;
  // A stream of HTTP/2 ends where its frames say.
  const refusal = incoming instanceof H2Request ? undefined : refuseFraming(incoming);
  // Where a refused one ends is in doubt; what came in one piece with an Upgrade, node:http has dropped.
  if (refusal !== undefined || incoming.headers.upgrade !== undefined) {
    if (incoming.socket instanceof LaneSocket) incoming.socket.hadLast = true;
    response.shouldKeepAlive = false;
  }
  if (refusal === undefined) return await handle(incoming, response);
  events.served({ method, target: url }, "refused", refusal.status, 0);
  sendProblem(response, new Failure("argument-invalid", refusal.why), { status: refusal.status });
  return "refused";
}

const STATUSES: ReadonlyMap<unknown, string> = new Map([
  ["HPE_HEADER_OVERFLOW", "431 Request Header Fields Too Large"],
  ["HPE_CHUNK_EXTENSIONS_OVERFLOW", "413 Payload Too Large"],
  ["ERR_HTTP_REQUEST_TIMEOUT", "408 Request Timeout"],
]);

export interface FrontListener extends Disposable {
  readonly address: Address;
}

/** Takes connections in the clear, until it is disposed of; those that it has taken are the front's to end. */
export async function startFrontListener(
  address: Address,
  front: Front,
  sharing: PortSharing = {},
): Promise<FrontListener> {
  const options = { allowHalfOpen: true, noDelay: true, pauseOnConnect: true, highWaterMark: WRITE_BUFFERED_BYTES };
  const server = createTcpServer(options, (socket) => front.acceptPaused(socket));
  const bound = await listen(server, address, sharing);
  return { address: bound, [Symbol.dispose]: () => void server.close() };
}
