/** The listener for TLS: picks the certificate by server name, then gives the connection to HTTP/1.1 or HTTP/2. */
import type { Socket } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import type { Address } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import { listen, type PortSharing } from "#platform/http/listening.ts";
import type { Random } from "#platform/random.ts";
import { networkOf } from "../../access/client-address.ts";
import type { ConnectionRefusal } from "../../events.ts";
import { ClientConnections } from "../client-connections.ts";
import { CONNECTIONS_MAX } from "../front.ts";
import { type Certificates, secureOptionsOf } from "./certificates.ts";
import { type H2Events, H2Sessions, type RequestHandler } from "./h2-sessions.ts";
import { rotateTicketKeys, type TicketKeys } from "./ticket-keys.ts";
import { TLS_SETTINGS } from "./tls-settings.ts";

/** Two round trips and some arithmetic. */
const HANDSHAKE_MS_MAX = 10_000;

/** Why a handshake came to nothing. */
export type HandshakeFailure = "no-certificate" | "protocol" | "reset" | "timeout";

export interface TlsEvents extends H2Events {
  /** A connection that was closed before its handshake. */
  connectionRefused(because: ConnectionRefusal): void;
  handshakeFailed(because: HandshakeFailure): void;
  handshakeDone(protocol: "h2" | "http/1.1", isResumed: boolean): void;
}

export interface TlsListenerOptions {
  readonly address: Address;
  readonly certificates: Certificates;
  /** Takes a connection that speaks HTTP/1.1. */
  readonly serveHttp1: (socket: TLSSocket) => void;
  /** Answers a request of HTTP/2. */
  readonly handle: RequestHandler;
  readonly events: TlsEvents;
  readonly clock: Clock;
  readonly random: Random;
  readonly sharing?: TlsSharing;
}

/** What several processes that listen at one port have in common. */
export interface TlsSharing extends PortSharing {
  readonly ticketKeys: TicketKeys;
  /** Takes a connection that speaks HTTP/2, where that is not for this process. */
  readonly serveHttp2?: (socket: TLSSocket) => void;
}

/** Disposed of, it takes no connection more and ends those of HTTP/2; those of HTTP/1.1 are whose it gave them to. */
export interface TlsListener extends AsyncDisposable {
  readonly address: Address;
}

export async function startTlsListener(options: TlsListenerOptions): Promise<TlsListener> {
  const { certificates, events, serveHttp1, sharing } = options;
  await using stack = new AsyncDisposableStack();
  const serveHttp2 = sharing?.serveHttp2 ?? serveSessions(stack.use(new H2Sessions(options)));
  const server = createServer({
    ...TLS_SETTINGS,
    ALPNProtocols: ["h2", "http/1.1"],
    handshakeTimeout: HANDSHAKE_MS_MAX,
    noDelay: true,
    SNICallback: (name, done) => done(null, certificates.contextFor(name)),
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.on("drop", () => events.connectionRefused("connections"));
  server.on("connection", boundByClient(events));
  const keys = sharing?.ticketKeys ?? stack.use(rotateTicketKeys(options)).keys;
  const useFallback = (): void => {
    const { fallback } = certificates;
    const settings = fallback === undefined ? TLS_SETTINGS : secureOptionsOf(fallback);
    server.setSecureContext({ ...settings, ticketKeys: keys.current });
  };
  useFallback();
  stack.use(certificates.onChange(useFallback));
  stack.use(keys.onChange(() => server.setTicketKeys(keys.current)));
  server.on("tlsClientError", (error) => events.handshakeFailed(reasonOf(error)));
  let isStopping = false;
  server.on("secureConnection", (socket) => {
    const protocol = socket.alpnProtocol === "h2" ? "h2" : "http/1.1";
    events.handshakeDone(protocol, socket.isSessionReused());
    if (isStopping) socket.destroy();
    else if (protocol === "h2") serveHttp2(socket);
    else serveHttp1(socket);
  });
  const address = await listen(server, options.address, portSharing(sharing));
  stack.defer(() => {
    isStopping = true;
    server.close();
  });
  const running = stack.move();
  return { address, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

const serveSessions = (sessions: H2Sessions) => (socket: TLSSocket) => sessions.serve(socket);

function portSharing({ reusePort }: PortSharing = {}): PortSharing {
  return reusePort === true ? { reusePort } : {};
}

/** A handshake costs more than a request: who has too many connections gets none. */
function boundByClient(events: TlsEvents): (socket: Socket) => void {
  const clients = new ClientConnections();
  return (socket) => {
    const client = networkOf(socket.remoteAddress ?? "");
    if (clients.add(client)) return void socket.once("close", () => clients.remove(client));
    events.connectionRefused("connections-of-client");
    socket.destroy();
  };
}

function reasonOf(error: Error): HandshakeFailure {
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (code === "ERR_TLS_HANDSHAKE_TIMEOUT") return "timeout";
  if (code === "ERR_SSL_NO_SHARED_CIPHER" || code === "ERR_SSL_NO_CERTIFICATE_SET") return "no-certificate";
  return code.startsWith("ERR_") ? "protocol" : "reset";
}
