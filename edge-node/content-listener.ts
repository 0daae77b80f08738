/** The listener of user agents: sessions first, then by Host a published or a pulled site, else 421. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Failure } from "#domain/failure.ts";
import type { Address } from "#platform/address.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import type { DesiredSite } from "./desired-state/desired-view.ts";
import { hasSeveralHosts } from "./published/hosts.ts";
import { sendProblem } from "./published/problems.ts";

const REQUEST_HEAD_BYTES_MAX = 16 * 1024;
const REQUEST_HEAD_MS_MAX = 10_000;
const CONNECTIONS_MAX = 8192;
const CONNECTION_IDLE_MS_MAX = 60_000;

export interface ContentRoutes {
  /** Takes what is under `/.perigee/` and, while cut off, steering; false: not its own. */
  readonly door: (incoming: IncomingMessage, response: ServerResponse) => boolean;
  readonly siteOf: (host: string | undefined) => DesiredSite | undefined;
  /** Why a site may not be served now. */
  readonly denial: (site: DesiredSite) => Failure | undefined;
  /** Rate and signatures, before anything is looked up; false: refused. */
  readonly admit: (site: DesiredSite, incoming: IncomingMessage, response: ServerResponse) => boolean;
  readonly servePublished: (site: DesiredSite, incoming: IncomingMessage, response: ServerResponse) => Promise<void>;
  readonly servePulled: (site: DesiredSite, incoming: IncomingMessage, response: ServerResponse) => Promise<void>;
  readonly events: { published(status: number): void; misdirected(): void; broke(error: unknown): void };
}

export interface ContentListener extends AsyncDisposable {
  readonly address: Address;
}

export async function startContentListener(address: Address, routes: ContentRoutes): Promise<ContentListener> {
  const strictness = { insecureHTTPParser: false, requireHostHeader: true, maxHeaderSize: REQUEST_HEAD_BYTES_MAX };
  const server = createServer({ ...strictness, headersTimeout: REQUEST_HEAD_MS_MAX }, (incoming, response) => {
    answer(routes, incoming, response).catch((error: unknown) => {
      routes.events.broke(error);
      response.destroy();
    });
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.timeout = CONNECTION_IDLE_MS_MAX;
  const bound = await listen(server, address);
  return { address: bound, [Symbol.asyncDispose]: () => closeServer(server) };
}

async function answer(routes: ContentRoutes, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  if (hasSeveralHosts(incoming.rawHeaders)) {
    routes.events.misdirected();
    return sendProblem(response, new Failure("argument-invalid", "a request has one Host"));
  }
  if (routes.door(incoming, response)) return;
  const site = routes.siteOf(incoming.headers.host);
  if (site === undefined) {
    routes.events.misdirected();
    const failure = new Failure("not-found", "no site of this node has the host name of the request");
    return sendProblem(response, failure, { status: 421 });
  }
  const denial = routes.denial(site);
  if (denial !== undefined) return sendProblem(response, denial);
  if (!routes.admit(site, incoming, response)) return;
  if (site.spec.pull !== undefined) return await routes.servePulled(site, incoming, response);
  await routes.servePublished(site, incoming, response);
  routes.events.published(response.statusCode);
}
