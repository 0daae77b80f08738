/** The listener every program has for those who run it: /metrics, /healthz and /readyz. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Address } from "../address.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { closeServer, listen } from "./listening.ts";

export interface Readiness {
  readonly ready: boolean;
  /** Why not; also what to know while ready. */
  readonly reasons: readonly string[];
}

export interface AdminListenerOptions {
  readonly address: Address;
  readonly metrics: Metrics;
  /** `offline` asks whether the program could go on without the cloud (`/readyz?offline`). */
  readonly readiness: (question: "now" | "offline") => Readiness;
}

export interface RunningListener extends AsyncDisposable {
  readonly address: Address;
}

export async function startAdminListener(options: AdminListenerOptions): Promise<RunningListener> {
  const server = createServer((request, response) => {
    answer(request, response, options).catch((error: unknown) =>
      response.destroy(error instanceof Error ? error : undefined),
    );
  });
  const address = await listen(server, options.address);
  return { address, [Symbol.asyncDispose]: () => closeServer(server) };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: AdminListenerOptions,
): Promise<void> {
  const [path, query] = (request.url ?? "/").split("?", 2);
  if (request.method !== "GET" && request.method !== "HEAD")
    return send(response, 405, { title: "Method Not Allowed" });
  switch (path) {
    case "/healthz":
      return send(response, 200, { status: "ok" });
    case "/readyz": {
      const readiness = options.readiness(query === "offline" ? "offline" : "now");
      return send(response, readiness.ready ? 200 : 503, readiness);
    }
    case "/metrics": {
      const { mediaType, text } = await options.metrics.render();
      response.writeHead(200, { "content-type": mediaType }).end(text);
      return;
    }
    default:
      return send(response, 404, { title: "Not Found", detail: "there are /metrics, /healthz and /readyz" });
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  response
    .writeHead(status, { "content-type": "application/json", "cache-control": "no-store" })
    .end(JSON.stringify(body));
}
