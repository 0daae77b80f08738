/** The client API: steering, measurements, sessions and `why` over HTTP; other hosts are sites, whose users are sent on. */
import Type from "typebox";
import { measurementsAnswerSchema, measurementsSchema, steerAnswerSchema } from "#contracts/operator-api/sessions.ts";
import type { FailureCode } from "#domain/failure.ts";
import { NAME_PATTERN } from "#domain/ids.ts";
import { SOFTWARE_VERSION } from "#domain/version.ts";
import { type ApiServer, createApiServer } from "#platform/http/api-server.ts";
import type { Logger } from "#platform/logging.ts";
import type { ExplainStore } from "../explain/explain-store.ts";
import type { DesiredView } from "../facts/desired-view.ts";
import type { SessionService } from "../session/session-service.ts";
import type { SteeringService } from "../steering/steering-service.ts";
import type { AccessPorts } from "./access.ts";
import { allowPages } from "./cors.ts";
import { addSessionRoutes } from "./session-routes.ts";
import { findSiteOfHost, pathAndQueryOf } from "./site-hosts.ts";
import { addWhyRoutes } from "./why-routes.ts";

export interface ClientApiParts {
  readonly access: AccessPorts;
  readonly sessions: SessionService;
  readonly steering: SteeringService;
  readonly explain: ExplainStore;
  readonly view: () => DesiredView;
  /** As clients reach this listener. */
  readonly clientUrl: string;
  readonly trustedProxies: readonly string[];
  readonly logger: Logger;
  readonly events: {
    redirected(): void;
    refused(code: FailureCode | "bug"): void;
  };
}

const closed = { additionalProperties: false };
const site = Type.String({ pattern: NAME_PATTERN });

export async function createClientApi(parts: ClientApiParts): Promise<ApiServer> {
  const server = await createApiServer({
    logger: parts.logger,
    title: "Perigee scheduler",
    version: SOFTWARE_VERSION,
    description: "Steering of content, measurements, VR sessions, and why each was decided so.",
    trustedProxies: parts.trustedProxies,
    onRefused: parts.events.refused,
  });
  redirectSites(server, parts);
  allowPages(server);
  addSteeringRoutes(server, parts);
  addSessionRoutes(server, parts);
  addWhyRoutes(server, parts);
  return server;
}

/** Before the routes: a site's host has all paths for itself. */
function redirectSites(server: ApiServer, { view, steering, clientUrl, events }: ClientApiParts): void {
  server.addHook("onRequest", async (request, reply) => {
    const site = findSiteOfHost(view(), request.headers.host, clientUrl);
    if (site === undefined) return;
    // Whether a page may read the content is for the site to say, at the edge.
    reply.header("cache-control", "no-store").header("access-control-allow-origin", "*");
    const target = `${steering.redirect(site, request.ip)}${pathAndQueryOf(request.raw.url ?? "/")}`;
    events.redirected();
    // A user agent may make a GET of what follows 302 (RFC 9110 section 15.4.3).
    const isSafe = request.method === "GET" || request.method === "HEAD";
    await reply.redirect(target, isSafe ? 302 : 307);
  });
}

function addSteeringRoutes(server: ApiServer, { steering }: ClientApiParts): void {
  server.get(
    "/v1/steer",
    { schema: { querystring: Type.Object({ site }, closed), response: { 200: steerAnswerSchema } } },
    async (request, reply) => {
      const answer = await steering.steer(request.query.site, request.ip);
      return reply.header("cache-control", "no-store").send(answer);
    },
  );
  server.post(
    "/v1/measurements",
    { schema: { body: measurementsSchema, response: { 200: measurementsAnswerSchema } } },
    async (request) => {
      const { accepted, notes } = await steering.measure(request.body.results, request.ip);
      return { accepted, notes: [...notes] };
    },
  );
}
