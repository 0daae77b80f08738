/** Delivers blobs to enrolled edges over mutual TLS: `GET|HEAD /v1/blobs/{sha256}` with ranges. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import { pipeline } from "node:stream/promises";
import { TLSSocket } from "node:tls";
import { isDigest } from "#domain/content/release.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Address } from "#platform/address.ts";
import type { RunningListener } from "#platform/http/admin-listener.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { problemOf } from "#platform/http/problem.ts";
import { type ConnectedPeer, parsePeer } from "#platform/identity/peer.ts";
import type { BlobStore } from "../blob-store/file-blob-store.ts";
import type { Members } from "../enrolment/members.ts";
import type { OwnCertificate, OwnTls } from "../keys/own-certificate.ts";
import { decideRange } from "./ranges.ts";

/** Edges with several streams each; more wait for a free connection. */
const CONNECTIONS_MAX = 4096;
/** A reader that takes nothing for so long is gone. */
const IDLE_MS_MAX = 30_000;

const PATH = /^\/v1\/blobs\/([0-9a-f]{64})$/;

export interface DeliveryParts {
  readonly members: Members;
  readonly blobs: BlobStore;
  readonly certificate: OwnCertificate;
  readonly events: { delivered(bytes: number): void; deliveryRefused(code: string): void };
}

export async function startDelivery(parts: DeliveryParts, address: Address): Promise<RunningListener> {
  const { certificate } = parts;
  // A stranger is refused by name at its request, as on the other listeners.
  const options = { ...optionsOf(certificate.tls), requestCert: true, rejectUnauthorized: false };
  const server = createServer(options, (request, response) => {
    answer(parts, request, response).catch((error: unknown) => refuse(parts, error, response));
  });
  certificate.onRenewed((tls) => server.setSecureContext(optionsOf(tls)));
  server.maxConnections = CONNECTIONS_MAX;
  server.timeout = IDLE_MS_MAX;
  const bound = await listen(server, address);
  return { address: bound, [Symbol.asyncDispose]: () => closeServer(server) };
}

function optionsOf({ keyPem, chainPem, authoritiesPem }: OwnTls) {
  return { key: keyPem, cert: chainPem, ca: authoritiesPem };
}

/** `undefined` where TLS did not verify the certificate. */
function peerOf({ socket }: IncomingMessage): ConnectedPeer | undefined {
  return socket instanceof TLSSocket && socket.authorized ? parsePeer(socket.getPeerCertificate()) : undefined;
}

async function answer(parts: DeliveryParts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  parts.members.check(peerOf(request), ["edge"]);
  const digest = PATH.exec(request.url ?? "")?.[1];
  const isRead = request.method === "GET" || request.method === "HEAD";
  if (digest === undefined || !isDigest(digest) || !isRead) {
    throw new Failure("not-found", "there is GET and HEAD of /v1/blobs/{sha256}");
  }
  const sizeBytes = await parts.blobs.findSize(digest);
  if (sizeBytes === undefined) throw new Failure("not-found", `blob ${digest} is not here`);
  const etag = `"${digest}"`;
  const ifRange = request.headers["if-range"];
  const range = decideRange(ifRange === undefined || ifRange === etag ? request.headers.range : undefined, sizeBytes);
  const fields = { etag, "accept-ranges": "bytes", "content-type": "application/octet-stream" };
  if (range.kind === "unsatisfiable") {
    response.writeHead(416, { ...fields, "content-range": `bytes */${sizeBytes}` }).end();
    return;
  }
  const { start, end } = range.kind === "part" ? range : { start: 0, end: sizeBytes - 1 };
  const lengthBytes = end - start + 1;
  const partFields = range.kind === "part" ? { "content-range": `bytes ${start}-${end}/${sizeBytes}` } : {};
  response.writeHead(range.kind === "part" ? 206 : 200, { ...fields, ...partFields, "content-length": lengthBytes });
  if (request.method === "HEAD" || lengthBytes === 0) {
    response.end();
    return;
  }
  await pipeline(counted(parts.blobs.read(digest, { start, end }), parts.events.delivered), response);
}

/** What was sent also counts where the transfer breaks off. */
async function* counted(bytes: AsyncIterable<Uint8Array>, onEnd: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  let sent = 0;
  try {
    for await (const chunk of bytes) {
      sent += chunk.byteLength;
      yield chunk;
    }
  } finally {
    onEnd(sent);
  }
}

/** What breaks after the head was sent ends the connection: the length tells the reader. */
function refuse({ events }: DeliveryParts, error: unknown, response: ServerResponse): void {
  events.deliveryRefused(isFailure(error) ? error.code : "broken");
  if (response.headersSent || !isFailure(error)) {
    response.destroy();
    return;
  }
  const problem = problemOf(error);
  response.writeHead(problem.status, { "content-type": "application/problem+json" }).end(JSON.stringify(problem));
}
