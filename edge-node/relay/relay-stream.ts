/**
 * The stream between a sibling and its relay: an `Upgrade` (RFC 9110 section 7.8) of the peer listener's HTTP/1.1, then
 * messages with their length before them, both ways. One TLS connection, and no HTTP/2 in the edge for it.
 */
import { type IncomingMessage, STATUS_CODES } from "node:http";
import { request } from "node:https";
import type { Duplex } from "node:stream";
import { create, fromBinary, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { NodeMessageSchema, type OriginMessage, OriginMessageSchema } from "#contracts/generated/perigee/v1/node_pb.js";
import { Failure, isFailure } from "#domain/failure.ts";
import { parseAddress } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import type { ClientTls } from "#platform/grpc/client.ts";
import { type ConnectedPeer, serverNameOf } from "#platform/identity/peer.ts";
import type { ConnectOrigin } from "../link/origin-link.ts";
import type { Peer } from "../pool/membership.ts";
import { RelayRefused } from "./refusals.ts";
import type { Relay } from "./relay.ts";

const PROTOCOL = "perigee-relay/1";
/** Why not, of an answer that is no 101. */
const REFUSAL_FIELD = "perigee-relay";
const LENGTH_BYTES = 4;
/** As of a gRPC message: a part of a snapshot, or a batch of reports, stays far below. */
export const FRAME_BYTES_MAX = 8 * 1024 * 1024;
/** Who has read nothing for this long, with all buffers full, is gone. */
export const UNREAD_MS_MAX = 9000;

type Schema = typeof NodeMessageSchema | typeof OriginMessageSchema;

/** A relay's side: as many streams as `Relay` lets in. */
export class RelayStreams implements Disposable {
  readonly #relay: Pick<Relay, "refusalFor" | "serve">;
  readonly #clock: Clock;
  readonly #sockets = new Set<Duplex>();

  constructor(relay: Pick<Relay, "refusalFor" | "serve">, clock: Clock) {
    this.#relay = relay;
    this.#clock = clock;
  }

  /** A request with `Upgrade`, by whom its certificate says. */
  take({ headers }: IncomingMessage, socket: Duplex, head: Buffer, peer: ConnectedPeer | undefined): void {
    socket.on("error", () => undefined);
    if (headers.upgrade !== PROTOCOL) {
      answer(socket, 400, []);
      return;
    }
    const refusal = this.#relay.refusalFor(peer);
    if (refusal !== undefined) {
      answer(socket, refusal === "untrusted" ? 403 : 409, [`${REFUSAL_FIELD}: ${refusal}`]);
      return;
    }
    socket.write(headOf(101, ["Connection: Upgrade", `Upgrade: ${PROTOCOL}`]));
    this.#sockets.add(socket);
    const ending = new AbortController();
    socket.once("close", () => {
      this.#sockets.delete(socket);
      ending.abort(brokenOff());
    });
    const messages = readMessages(socket, head, NodeMessageSchema);
    const answers = this.#relay.serve(messages, { peer, signal: ending.signal });
    // What it threw is told to whoever it was for: here the stream ends.
    writeMessages(socket, answers, OriginMessageSchema, this.#clock).then(
      () => closeSoon(socket, this.#clock),
      () => socket.destroy(),
    );
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** The other end closes when it has read why; who does not is closed. */
function closeSoon(socket: Duplex, clock: Clock): void {
  if (socket.destroyed) return;
  socket.end();
  socket.resume();
  const late = clock.timer(UNREAD_MS_MAX, () => socket.destroy());
  socket.once("close", () => late[Symbol.dispose]());
}

function answer(socket: Duplex, status: number, fields: readonly string[]): void {
  socket.end(headOf(status, ["Connection: close", "Content-Length: 0", ...fields]));
}

function headOf(status: number, fields: readonly string[]): string {
  return [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`, ...fields, "", ""].join("\r\n");
}

function brokenOff(): Failure {
  return new Failure("unavailable", "the connection to the other edge has ended", { retryable: true });
}

export interface DialOptions {
  readonly tls: (serverName: string) => ClientTls;
  readonly clock: Clock;
}

/** Resolves once the relay has accepted. Throws `RelayRefused`, or `unavailable` where nobody answers. */
export function dialRelay(
  { name, address }: Peer,
  signal: AbortSignal,
  { tls, clock }: DialOptions,
): Promise<ConnectOrigin> {
  const { authoritiesPem, own, serverName } = tls(serverNameOf({ role: "edge", name }));
  const asking = request({
    ...parseAddress(address),
    ...{ ca: authoritiesPem, key: own?.keyPem, cert: own?.chainPem, servername: serverName },
    headers: { connection: "Upgrade", upgrade: PROTOCOL, host: serverName },
    ...{ agent: false, signal },
  });
  return new Promise((resolve, reject) => {
    asking.once("error", (cause) => {
      const message = `edge ${name} at ${address}: ${cause.message}`;
      reject(isFailure(signal.reason) ? signal.reason : new Failure("unavailable", message, { cause }));
    });
    asking.once("response", (response) => {
      response.resume();
      const code = response.headers[REFUSAL_FIELD];
      reject(new RelayRefused(name, { code: String(code), message: "" }));
    });
    asking.once("upgrade", (_response, socket, head) => {
      socket.on("error", () => undefined);
      resolve((messages, ending) => runStream(socket, head, { messages, signal: ending, clock }));
    });
    asking.end();
  });
}

interface Run {
  readonly messages: Parameters<ConnectOrigin>[0];
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

async function* runStream(
  socket: Duplex,
  head: Buffer,
  { messages, signal, clock }: Run,
): AsyncGenerator<OriginMessage> {
  const end = (): void => void socket.destroy();
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  try {
    writeMessages(socket, messages, NodeMessageSchema, clock).catch(end);
    yield* readMessages(socket, head, OriginMessageSchema);
  } catch (error) {
    signal.throwIfAborted();
    throw isFailure(error) ? error : brokenOff();
  } finally {
    signal.removeEventListener("abort", end);
    socket.destroy();
  }
  signal.throwIfAborted();
}

/** Of messages that go to many, once for all. */
const FRAMES = new WeakMap<object, Buffer>();

function frameOf<S extends Schema>(schema: S, message: MessageInitShape<S>): Buffer {
  const known = FRAMES.get(message);
  if (known !== undefined) return known;
  const bytes = toBinary(schema, create(schema, message));
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + bytes.byteLength);
  frame.writeUInt32BE(bytes.byteLength);
  frame.set(bytes, LENGTH_BYTES);
  FRAMES.set(message, frame);
  return frame;
}

/** At the pace of the socket, until the messages end. */
async function writeMessages<S extends Schema>(
  socket: Duplex,
  messages: AsyncIterable<MessageInitShape<S>>,
  schema: S,
  clock: Clock,
): Promise<void> {
  for await (const message of messages) {
    if (socket.destroyed) return;
    if (!socket.write(frameOf(schema, message))) await drained(socket, clock);
  }
}

function drained(socket: Duplex, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const late = clock.timer(UNREAD_MS_MAX, () => socket.destroy());
    const done = (): void => {
      late[Symbol.dispose]();
      socket.off("drain", done);
      socket.off("close", done);
      resolve();
    };
    socket.once("drain", done);
    socket.once("close", done);
    if (socket.destroyed) done();
  });
}

async function* readMessages<S extends Schema>(
  socket: Duplex,
  head: Buffer,
  schema: S,
): AsyncGenerator<MessageShape<S>> {
  const frames = new Frames();
  yield* frames.take(head).map((bytes) => fromBinary(schema, bytes));
  for await (const chunk of socket) yield* frames.take(chunk).map((bytes) => fromBinary(schema, bytes));
}

/** Cuts what arrives into messages; joins what came in pieces once. */
class Frames {
  #chunks: Buffer[] = [];
  #heldBytes = 0;
  /** Until the next message is whole, or its length is known. */
  #neededBytes = LENGTH_BYTES;

  /** Throws `argument-invalid` for one that is too long. */
  take(chunk: Buffer): readonly Uint8Array[] {
    this.#chunks.push(chunk);
    this.#heldBytes += chunk.byteLength;
    if (this.#heldBytes < this.#neededBytes) return [];
    const held = Buffer.concat(this.#chunks);
    const frames: Uint8Array[] = [];
    let at = 0;
    for (;;) {
      const leftBytes = held.byteLength - at;
      const length = leftBytes < LENGTH_BYTES ? 0 : held.readUInt32BE(at);
      if (length > FRAME_BYTES_MAX) {
        throw new Failure("argument-invalid", `a message has at most ${FRAME_BYTES_MAX} bytes, got ${length}`);
      }
      this.#neededBytes = LENGTH_BYTES + length;
      if (leftBytes < this.#neededBytes) break;
      frames.push(held.subarray(at + LENGTH_BYTES, at + this.#neededBytes));
      at += this.#neededBytes;
    }
    this.#chunks = [held.subarray(at)];
    this.#heldBytes = held.byteLength - at;
    return frames;
  }
}
