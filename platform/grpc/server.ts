/** A gRPC server over mutual TLS whose handlers are async functions and generators. */
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import {
  Server,
  type ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  type UntypedHandleCall,
} from "@grpc/grpc-js";
import { Failure } from "#domain/failure.ts";
import { type Address, formatAddress } from "../address.ts";
import type { Clock } from "../clock.ts";
import { type ConnectedPeer, type PeerCertificate, parsePeer } from "../identity/peer.ts";
import { type CertificatePair, CertificateSource } from "./certificate-source.ts";
import { type Input, MESSAGE_BYTES_MAX, methodDefinitionOf, type OutputInit } from "./definition.ts";
import { toServiceError } from "./status.ts";

/** A peer that answers no ping for this long is gone (DESIGN: dead in at most 10 s). */
export const KEEPALIVE_MS = 4000;
export const KEEPALIVE_TIMEOUT_MS = 4000;
export const IDLE_KEEPALIVE_MS = 60_000;
/** A connection on which nobody calls is closed: a stranger, who gets no call through, holds none for longer. */
export const CONNECTION_IDLE_MS_MAX = 60_000;
/** A graceful stop waits this long for calls to end. */
const STOP_DEADLINE_MS = 2000;

export interface Call {
  /** Aborted when the client cancels, its deadline passes, or the connection breaks. */
  readonly signal: AbortSignal;
  /** From the client's certificate; `undefined` where it showed none of ours. */
  readonly peer: ConnectedPeer | undefined;
}

export type Handler<M extends DescMethod> = M["methodKind"] extends "unary"
  ? (request: Input<M>, call: Call) => Promise<OutputInit<M>>
  : M["methodKind"] extends "server_streaming"
    ? (request: Input<M>, call: Call) => AsyncIterable<OutputInit<M>>
    : M["methodKind"] extends "client_streaming"
      ? (requests: AsyncIterable<Input<M>>, call: Call) => Promise<OutputInit<M>>
      : (requests: AsyncIterable<Input<M>>, call: Call) => AsyncIterable<OutputInit<M>>;

export type Implementation<S extends DescService> = { readonly [K in keyof S["method"]]: Handler<S["method"][K]> };

export interface ServerTls extends CertificatePair {
  readonly authoritiesPem: string;
  /** Whether clients must show a certificate of the authorities; a call without one is `certificate-untrusted`. */
  readonly clientCertificate: "required" | "none";
}

export interface GrpcServer extends AsyncDisposable {
  readonly address: Address;
  /** New connections get this certificate, and are judged by these authorities; those that stand keep theirs. */
  replaceCertificate(tls: CertificatePair & Pick<ServerTls, "authoritiesPem">): void;
}

export interface ServiceEntry {
  readonly service: DescService;
  readonly implementation: Readonly<Record<string, AnyHandler>>;
}

/** A handler once its messages' types are checked by `serviceOf`. */
// biome-ignore lint/suspicious/noExplicitAny: the four kinds share no narrower type; `serviceOf` is the typed door.
type AnyHandler = (request: any, call: Call) => any;

/** Pairs a service with its implementation, typed. */
export function serviceOf<S extends DescService>(service: S, implementation: Implementation<S>): ServiceEntry {
  return { service, implementation };
}

/** Throws `unavailable` naming an address that cannot be had. */
export async function startGrpcServer(options: {
  readonly listen: Address;
  readonly tls: ServerTls;
  readonly services: readonly ServiceEntry[];
  readonly clock: Clock;
  /** Every call has pings of its own (`PeerLink`): those of HTTP/2 come once a minute, so that an idle link costs little. */
  readonly pingsItself?: boolean;
  /** Told of each call that ends with an error, refused ones among them. */
  readonly onFailed?: (error: unknown) => void;
}): Promise<GrpcServer> {
  const server = new Server({
    "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
    "grpc.max_send_message_length": MESSAGE_BYTES_MAX,
    "grpc.keepalive_time_ms": options.pingsItself === true ? IDLE_KEEPALIVE_MS : KEEPALIVE_MS,
    "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
    "grpc.keepalive_permit_without_calls": 1,
    "grpc.max_connection_idle_ms": CONNECTION_IDLE_MS_MAX,
    // Channelz stays on, though nobody asks it: without it grpc-js 1.14 knows no sessions that a forced stop could end.
  });
  const { onFailed = () => undefined, tls } = options;
  const reception = { isForPeers: tls.clientCertificate === "required", onFailed };
  for (const entry of options.services) addService(server, entry, reception);
  const source = new CertificateSource(options.tls, options.tls.authoritiesPem);
  const port = await bind(server, options.listen, source.credentials(options.tls.clientCertificate));
  return {
    address: { host: options.listen.host, port },
    replaceCertificate: ({ keyPem, chainPem, authoritiesPem }) => source.replace({ keyPem, chainPem }, authoritiesPem),
    [Symbol.asyncDispose]: () => stop(server, options.clock),
  };
}

function bind(server: Server, address: Address, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(formatAddress(address), credentials, (error, port) => {
      if (error === null) resolve(port);
      else
        reject(
          new Failure("unavailable", `cannot listen on ${formatAddress(address)}: ${error.message}`, { cause: error }),
        );
    });
  });
}

function stop(server: Server, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const force = clock.timer(STOP_DEADLINE_MS, () => server.forceShutdown());
    server.tryShutdown(() => {
      force[Symbol.dispose]();
      resolve();
    });
  });
}

/** Who is let in, and who hears of failures. */
interface Reception {
  readonly isForPeers: boolean;
  readonly onFailed: (error: unknown) => void;
}

function addService(server: Server, { service, implementation }: ServiceEntry, reception: Reception): void {
  const definition = Object.fromEntries(
    service.methods.map((method) => [method.localName, methodDefinitionOf(service, method)]),
  );
  const handlers = Object.fromEntries(
    service.methods.map((method) => {
      const handler = implementation[method.localName];
      if (handler === undefined) throw new Error(`${service.typeName}.${method.localName} has no handler`);
      return [method.localName, adapt(method, handler, reception)];
    }),
  );
  server.addService(definition, handlers);
}

type Responder = sendUnaryData<object>;

function adapt(method: DescMethod, handler: AnyHandler, reception: Reception): UntypedHandleCall {
  const context = (call: AnyCall) => contextOf(call, reception);
  switch (method.methodKind) {
    case "unary":
      return (call: ServerUnaryCall<object, object>, respond: Responder) =>
        answer(respond, reception, () => handler(call.request, context(call)));
    case "client_streaming":
      return (call: ServerReadableStream<object, object>, respond: Responder) =>
        answer(respond, reception, () => handler(call, context(call)));
    case "server_streaming":
      return (call: ServerWritableStream<object, object>) =>
        pump(call, reception, () => handler(call.request, context(call)));
    case "bidi_streaming":
      return (call: ServerDuplexStream<object, object>) => pump(call, reception, () => handler(call, context(call)));
  }
}

async function answer(respond: Responder, { onFailed }: Reception, run: () => Promise<object>): Promise<void> {
  try {
    respond(null, await run());
  } catch (error) {
    onFailed(error);
    respond(toServiceError(error));
  }
}

/** Throws `certificate-untrusted` for a stranger where only peers are served. */
function contextOf(call: AnyCall, { isForPeers }: Reception): Call {
  const peer = parsePeer(call.getAuthContext().sslPeerCertificate);
  if (isForPeers && peer === undefined) {
    throw new Failure(
      "certificate-untrusted",
      "the client showed no certificate of this installation that is valid now: join the node again, or check its clock",
    );
  }
  const controller = new AbortController();
  call.on("cancelled", () => controller.abort(new Failure("unavailable", "the call was cancelled by its client")));
  return { signal: controller.signal, peer };
}

/** What all four kinds of call have. */
interface AnyCall {
  on(event: "cancelled", listener: () => void): unknown;
  /** Without a certificate unless it was verified. */
  getAuthContext(): { readonly sslPeerCertificate?: PeerCertificate };
}
type WritableCall = ServerWritableStream<object, object> | ServerDuplexStream<object, object>;

/** Writes at the pace at which the client reads. */
async function pump(call: WritableCall, { onFailed }: Reception, run: () => AsyncIterable<object>): Promise<void> {
  try {
    for await (const message of run()) {
      if (call.cancelled || call.destroyed) return;
      if (!call.write(message)) await drained(call);
    }
    call.end();
  } catch (error) {
    onFailed(error);
    call.emit("error", toServiceError(error));
  }
}

function drained(call: WritableCall): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      for (const event of ["drain", "close", "cancelled"]) call.off(event, done);
      resolve();
    };
    for (const event of ["drain", "close", "cancelled"]) call.once(event, done);
  });
}
