/** The client API: steering, measurements, sessions and `why` over HTTP; other hosts are sites, whose users are sent on. */
import Type from "typebox";
import { measurementsAnswerSchema, measurementsSchema, steerAnswerSchema } from "#contracts/operator-api/sessions.ts";
import { Failure, type FailureCode } from "#domain/failure.ts";
import { NAME_PATTERN } from "#domain/ids.ts";
import { SOFTWARE_VERSION } from "#domain/version.ts";
import { type ApiServer, createApiServer } from "#platform/http/api-server.ts";
import type { Logger } from "#platform/logging.ts";
import { type ExplainedDecision, type ExplainStore, explained } from "../explain/explain-store.ts";
import type { DesiredView } from "../facts/desired-view.ts";
import type { SessionService } from "../session/session-service.ts";
import type { SteeringService } from "../steering/steering-service.ts";
import { type AccessPorts, authoriseOperator } from "./access.ts";
import { allowPages } from "./cors.ts";
import { addSessionRoutes } from "./session-routes.ts";
import { findSiteOfHost, pathAndQueryOf } from "./site-hosts.ts";

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
const text = Type.String({ minLength: 1, maxLength: 128 });
const explainedSchema = Type.Object({ decision: Type.String(), lines: Type.Array(Type.String()) }, closed);

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

function addWhyRoutes(server: ApiServer, { access, explain, steering }: ClientApiParts): void {
  const response = { 200: explainedSchema };
  server.get(
    "/v1/why/:decision",
    { schema: { params: Type.Object({ decision: text }, closed), response } },
    async (request) => {
      await authoriseOperator(access, request.headers, "read");
      const { decision } = request.params;
      return known(explained(await explain.find(decision)), `decision ${decision}`);
    },
  );
  const query = Type.Object(
    { session: Type.Optional(text), site: Type.Optional(site), client: Type.Optional(text) },
    closed,
  );
  server.get("/v1/why", { schema: { querystring: query, response } }, async (request) => {
    await authoriseOperator(access, request.headers, "read");
    const { session, site, client } = request.query;
    if (session !== undefined) {
      return known(explained(await explain.findSession(session)), `a decision on session ${session}`);
    }
    if (site !== undefined && client !== undefined) {
      return known(explain.explain(steering.explain(site, client)), `the decision on ${site}`);
    }
    throw new Failure("argument-invalid", "give `session`, or `site` and `client`");
  });
}

function known(found: ExplainedDecision | undefined, what: string): { decision: string; lines: string[] } {
  if (found !== undefined) return { decision: found.decision, lines: [...found.lines] };
  throw new Failure("not-found", `${what} is not known here, or forgotten by now`);
}
