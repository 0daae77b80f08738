/** An HTTP server on a free loopback port. */
import { once } from "node:events";
import type { createServer } from "node:http";

export interface LoopbackServer extends AsyncDisposable {
  readonly url: string;
}

export async function serveOnLoopback(server: ReturnType<typeof createServer>): Promise<LoopbackServer> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
