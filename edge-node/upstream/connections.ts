/** Connections to one upstream, or to another edge, by undici. In a module of its own because it is loaded late. */
import { Pool } from "undici";
import type { ClientTls } from "#platform/grpc/client.ts";

const CONNECTIONS_MAX = 256;
const HEAD_BYTES_MAX = 64 * 1024;

export interface ConnectionsOptions {
  readonly url: URL;
  readonly connectMsMax: number;
  readonly tls?: ClientTls;
}

export function openConnections({ url, connectMsMax, tls }: ConnectionsOptions): Pool {
  return new Pool(url.origin, {
    connections: CONNECTIONS_MAX,
    maxHeaderSize: HEAD_BYTES_MAX,
    connect: { timeout: connectMsMax, ...(tls === undefined ? {} : connectOptionsOf(tls)) },
    headersTimeout: 0,
    bodyTimeout: 0,
  });
}

function connectOptionsOf({ authoritiesPem, own, serverName }: ClientTls) {
  const certificate = own === undefined ? {} : { key: own.keyPem, cert: own.chainPem };
  return { ca: authoritiesPem, servername: serverName, ...certificate };
}
