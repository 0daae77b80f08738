/** The listener for other edges: HTTP/1.1 over mutual TLS, what the store has or the next tier gives. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { fieldsOf } from "#domain/http/fields.ts";
import type { Address } from "#platform/address.ts";
import type { RunningListener } from "#platform/http/admin-listener.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import type { NodeIdentity } from "#platform/identity/node-identity.ts";
import { type ConnectedPeer, parsePeer } from "#platform/identity/peer.ts";
import type { PeerAsker } from "../request/peer-asker.ts";
import { BLOB_FIELD } from "./blob-fields.ts";
import { decidePeerCall, isSibling, type PeerCallFacts } from "./peer-call.ts";
import { type DeclineReason, formatDecline, TIER_FIELD } from "./tier-fields.ts";

/** Some for each sibling, and for each edge of the pools below. */
const PEER_CONNECTIONS_MAX = 4096;
/** Each may hold a connection to an upstream; the asker has other ways. */
const PEER_REQUESTS_MAX = 2048;
/** Idle connections cost a socket; peers open them again in a millisecond. */
const PEER_CONNECTION_IDLE_MS_MAX = 60_000;
const REQUEST_HEAD_BYTES_MAX = 32 * 1024;
const REQUEST_HEAD_MS_MAX = 10_000;

/** What answers for a site. */
export interface PeerFlow {
  handle(incoming: IncomingMessage, response: ServerResponse, asker: PeerAsker): Promise<unknown>;
}

/** What answers for blobs of releases; `asker` is the sibling's name. */
export interface BlobAnswers {
  answer(incoming: IncomingMessage, response: ServerResponse, asker: string): Promise<void>;
}

/** What connections of peers become that are more than requests. */
export interface PeerStreams extends Disposable {
  take(incoming: IncomingMessage, socket: Duplex, head: Buffer, peer: ConnectedPeer | undefined): void;
}

export interface PeerListenerParts {
  readonly identity: Pick<NodeIdentity, "serverTls" | "onRenewed">;
  readonly facts: () => Omit<PeerCallFacts, "isOverloaded">;
  readonly flowOf: (site: string) => PeerFlow | undefined;
  readonly blobs: BlobAnswers;
  /** Takes requests with `Upgrade`; without it they are answered as others. */
  readonly streams?: PeerStreams;
  readonly events: {
    peerAnswered(): void;
    peerDeclined(reason: DeclineReason): void;
    broke(error: unknown): void;
  };
}

export async function startPeerListener(parts: PeerListenerParts, address: Address): Promise<RunningListener> {
  const { identity, events, streams } = parts;
  // A stranger is refused by name at its request, as on the other listeners.
  const tls = () => {
    const { keyPem, chainPem, authoritiesPem } = identity.serverTls("required");
    return { key: keyPem, cert: chainPem, ca: authoritiesPem };
  };
  const limits = { maxHeaderSize: REQUEST_HEAD_BYTES_MAX, headersTimeout: REQUEST_HEAD_MS_MAX };
  const options = { ...tls(), ...limits, insecureHTTPParser: false, requestCert: true, rejectUnauthorized: false };
  let underWay = 0;
  const server = createServer(options, (incoming, response) => {
    underWay += 1;
    response.once("close", () => {
      underWay -= 1;
    });
    answer(parts, underWay > PEER_REQUESTS_MAX, incoming, response).catch((error: unknown) => {
      events.broke(error);
      response.destroy();
    });
  });
  if (streams !== undefined)
    server.on("upgrade", (incoming, socket, head) => streams.take(incoming, socket, head, peerOf(incoming)));
  server.maxConnections = PEER_CONNECTIONS_MAX;
  server.timeout = PEER_CONNECTION_IDLE_MS_MAX;
  const renewing = identity.onRenewed(() => server.setSecureContext(tls()));
  const bound = await listen(server, address);
  const stop = async (): Promise<void> => {
    renewing[Symbol.dispose]();
    streams?.[Symbol.dispose]();
    await closeServer(server);
  };
  return { address: bound, [Symbol.asyncDispose]: stop };
}

async function answer(
  parts: PeerListenerParts,
  isOverloaded: boolean,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (incoming.headers[BLOB_FIELD] !== undefined) return await answerForBlob(parts, isOverloaded, incoming, response);
  const call = { method: incoming.method ?? "", fields: fieldsOf(incoming.rawHeaders), peer: peerOf(incoming) };
  const decision = decidePeerCall(call, { ...parts.facts(), isOverloaded });
  if (decision.kind === "decline") return decline(parts, response, decision.reason);
  const flow = parts.flowOf(decision.site);
  if (flow === undefined) return decline(parts, response, "unknown-site");
  // The asker knows by it that this node lives, however long the upstream takes.
  response.writeProcessing();
  setHost(incoming, decision.host);
  await flow.handle(incoming, response, decision.asker);
  parts.events.peerAnswered();
}

async function answerForBlob(
  parts: PeerListenerParts,
  isOverloaded: boolean,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const peer = peerOf(incoming);
  if (peer === undefined || !isSibling(peer, parts.facts())) return decline(parts, response, "untrusted");
  if (isOverloaded) return decline(parts, response, "overloaded");
  await parts.blobs.answer(incoming, response, peer.name);
}

function peerOf({ socket }: IncomingMessage): ConnectedPeer | undefined {
  return socket instanceof TLSSocket && socket.authorized ? parsePeer(socket.getPeerCertificate()) : undefined;
}

function decline({ events }: PeerListenerParts, response: ServerResponse, reason: DeclineReason): void {
  events.peerDeclined(reason);
  const status = reason === "untrusted" ? 403 : 409;
  response.writeHead(status, { [TIER_FIELD]: formatDecline(reason), "content-length": "0" }).end();
}

/** As the user agent's request has it: Host between edges names the edge. */
function setHost({ headers, rawHeaders }: IncomingMessage, host: string): void {
  headers.host = host;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() === "host") rawHeaders[index + 1] = host;
  }
}
