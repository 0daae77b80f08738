/** A typed gRPC client, over mutual TLS or to a server that has none: promises, async iterables, deadlines and signals. */
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import {
  type CallOptions,
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
} from "@grpc/grpc-js";
import { type Address, formatAddress } from "../address.ts";
import { type InputInit, MESSAGE_BYTES_MAX, methodDefinitionOf, type Output } from "./definition.ts";
import { IDLE_KEEPALIVE_MS, KEEPALIVE_MS, KEEPALIVE_TIMEOUT_MS } from "./server.ts";
import { toFailure } from "./status.ts";

/** Of the server may be under way: what is sent at once to a node that returns arrives in one round trip, not in one for each 64 KiB. */
export const RECEIVE_WINDOW_BYTES_MAX = 2 * 1024 * 1024;

export interface ClientTls {
  readonly authoritiesPem: string;
  /** Absent where the server asks for no certificate. */
  readonly own?: { readonly keyPem: string; readonly chainPem: string };
  /** The DNS name in the server's certificate; absent where that is the host that is dialled. */
  readonly serverName?: string | undefined;
}

export interface CallLimits {
  readonly signal: AbortSignal;
}

export type ClientMethod<M extends DescMethod> = M["methodKind"] extends "unary"
  ? (request: InputInit<M>, limits: CallLimits) => Promise<Output<M>>
  : M["methodKind"] extends "server_streaming"
    ? (request: InputInit<M>, limits: CallLimits) => AsyncIterable<Output<M>>
    : M["methodKind"] extends "client_streaming"
      ? (requests: AsyncIterable<InputInit<M>>, limits: CallLimits) => Promise<Output<M>>
      : (requests: AsyncIterable<InputInit<M>>, limits: CallLimits) => AsyncIterable<Output<M>>;

export type GrpcClient<S extends DescService> = {
  readonly [K in keyof S["method"]]: ClientMethod<S["method"][K]>;
} & Disposable;

/** Connects when first called. Everything thrown is a Failure. */
export function createGrpcClient<S extends DescService>(
  service: S,
  options: {
    readonly address: Address;
    /** Absent: nothing is encrypted. */
    readonly tls?: ClientTls;
    /** Sent with every call. */
    readonly metadata?: Readonly<Record<string, string>>;
    /** The longest answer taken. */
    readonly messageBytesMax?: number;
    /** A server may refuse pings that come more often than it likes. */
    readonly keepaliveMs?: number;
    /** Every call is ended by what it carries when the server is silent. */
    readonly pingsItself?: boolean;
  },
): GrpcClient<S> {
  const { serverName } = options.tls ?? {};
  const client = new Client(formatAddress(options.address), credentialsOf(options.tls), {
    ...(serverName === undefined
      ? {}
      : { "grpc.ssl_target_name_override": serverName, "grpc.default_authority": serverName }),
    "grpc.max_receive_message_length": options.messageBytesMax ?? MESSAGE_BYTES_MAX,
    "grpc.max_send_message_length": MESSAGE_BYTES_MAX,
    "grpc.keepalive_time_ms": options.keepaliveMs ?? (options.pingsItself === true ? IDLE_KEEPALIVE_MS : KEEPALIVE_MS),
    "grpc-node.flow_control_window": RECEIVE_WINDOW_BYTES_MAX,
    "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_channelz": 0,
    "grpc.enable_http_proxy": 0,
  });
  const call = { client, metadata: options.metadata ?? {} };
  const methods = Object.fromEntries(
    service.methods.map((method) => [method.localName, methodOf(call, service, method)]),
  );
  const surface: unknown = Object.assign(methods, { [Symbol.dispose]: () => client.close() });
  return assertClient<S>(surface);
}

/** The methods were made from the same descriptor that the type is derived from. */
function assertClient<S extends DescService>(surface: unknown): GrpcClient<S> {
  return surface as GrpcClient<S>;
}

/** Certificates are parsed once for all connections that they are shown on. */
const CREDENTIALS = new WeakMap<ClientTls, ChannelCredentials>();

function credentialsOf(tls: ClientTls | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const known = CREDENTIALS.get(tls) ?? createTlsCredentials(tls);
  CREDENTIALS.set(tls, known);
  return known;
}

function createTlsCredentials(tls: ClientTls): ChannelCredentials {
  const { authoritiesPem, own } = tls;
  const authorities = Buffer.from(authoritiesPem);
  if (own === undefined) return credentials.createSsl(authorities);
  return credentials.createSsl(authorities, Buffer.from(own.keyPem), Buffer.from(own.chainPem));
}

type RawStream = ClientDuplexStream<object, object>;

interface Calling {
  readonly client: Client;
  readonly metadata: Readonly<Record<string, string>>;
}

function methodOf({ client, metadata: fields }: Calling, service: DescService, method: DescMethod) {
  const { path, requestSerialize, responseDeserialize } = methodDefinitionOf(service, method);
  const what = path.slice(1);
  const open = (limits: CallLimits, start: (metadata: Metadata, options: CallOptions) => RawStream) => {
    limits.signal.throwIfAborted();
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(fields)) metadata.set(name, value);
    const stream = start(metadata, {});
    const onAbort = () => stream.cancel();
    limits.signal.addEventListener("abort", onAbort, { once: true });
    stream.once("close", () => limits.signal.removeEventListener("abort", onAbort));
    return stream;
  };
  const openBidi = (limits: CallLimits) =>
    open(limits, (metadata, options) =>
      client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata, options),
    );
  const readAll = (stream: RawStream, limits: CallLimits) => received(stream, limits, what);
  switch (method.methodKind) {
    case "unary":
      return (request: object, limits: CallLimits) => only(readAll(sendOne(openBidi(limits), request), limits), what);
    case "server_streaming":
      return (request: object, limits: CallLimits) => readAll(sendOne(openBidi(limits), request), limits);
    case "client_streaming":
      return (requests: AsyncIterable<object>, limits: CallLimits) =>
        only(readAll(sendEach(openBidi(limits), requests), limits), what);
    case "bidi_streaming":
      return (requests: AsyncIterable<object>, limits: CallLimits) =>
        readAll(sendEach(openBidi(limits), requests), limits);
  }
}

/** On the wire all four kinds are streams of messages; one request is a stream of one. */
function sendOne(stream: RawStream, request: object): RawStream {
  stream.write(request);
  stream.end();
  return stream;
}

function sendEach(stream: RawStream, requests: AsyncIterable<object>): RawStream {
  const send = async () => {
    for await (const request of requests) {
      if (stream.destroyed || stream.writableEnded) return;
      if (!stream.write(request)) await new Promise((resolve) => stream.once("drain", resolve).once("close", resolve));
    }
    stream.end();
  };
  send().catch(() => stream.cancel());
  return stream;
}

async function* received(stream: RawStream, { signal }: CallLimits, what: string): AsyncGenerator<object> {
  try {
    for await (const message of stream) yield message;
  } catch (error) {
    throw signal.aborted ? toFailure(signal.reason, what) : toFailure(error, what);
  } finally {
    stream.cancel();
  }
}

async function only(messages: AsyncIterable<object>, what: string): Promise<object> {
  for await (const message of messages) return message;
  throw toFailure(new Error("the answer was empty"), what);
}
