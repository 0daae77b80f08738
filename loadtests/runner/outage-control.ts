/** Where the outage scenario takes the cloud away and gives it back. */
import { createServer } from "node:http";
import { type LoopbackServer, serveOnLoopback } from "./loopback-server.ts";

export interface Cloud {
  freezeCloud(): void;
  thawCloud(): void;
}

/** Epoch milliseconds; undefined while it has not happened. */
export interface OutageTimes {
  beginMs: number | undefined;
  endMs: number | undefined;
}

/** `POST /begin` and `POST /end`, each of which may be said twice; without a cloud of ours both are refused. */
export async function startOutageControl(cloud: Cloud | undefined, times: OutageTimes): Promise<LoopbackServer> {
  const server = createServer((request, response) => {
    if (request.method !== "POST" || cloud === undefined) return void response.writeHead(404).end();
    if (request.url === "/begin" && times.beginMs === undefined) {
      cloud.freezeCloud();
      times.beginMs = Date.now();
    }
    if (request.url === "/end" && times.beginMs !== undefined && times.endMs === undefined) {
      cloud.thawCloud();
      times.endMs = Date.now();
    }
    response.writeHead(204).end();
  });
  return await serveOnLoopback(server);
}
