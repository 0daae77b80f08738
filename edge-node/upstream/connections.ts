/** Connections to one upstream by undici. In a module of its own because it is loaded late. */
import { Pool } from "undici";

const CONNECTIONS_MAX = 256;
const HEAD_BYTES_MAX = 64 * 1024;

export function openConnections({ url, connectMsMax }: { readonly url: URL; readonly connectMsMax: number }): Pool {
  return new Pool(url.origin, {
    connections: CONNECTIONS_MAX,
    maxHeaderSize: HEAD_BYTES_MAX,
    connect: { timeout: connectMsMax },
    headersTimeout: 0,
    bodyTimeout: 0,
  });
}
