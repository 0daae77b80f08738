/** The operator API: resources, publishing, tokens and nodes over HTTP; every route but the pages needs a scope. */
import type { X509Certificate } from "node:crypto";
import { Readable } from "node:stream";
import Type from "typebox";
import {
  applyRequestSchema,
  applyResultSchema,
  appTokenRequestSchema,
  authoritySchema,
  deletedSchema,
  joinTokenRequestSchema,
  joinTokenResultSchema,
  letOutSchema,
  missingBlobsSchema,
  nodeListSchema,
  operatorTokenRequestSchema,
  releaseRequestSchema,
  releaseResultSchema,
  resourceListSchema,
  resourceParamsSchema,
  rollbackRequestSchema,
  rotationRequestSchema,
  tokenResultSchema,
  uploadedSchema,
} from "#contracts/operator-api/operator.ts";
import {
  describedApply,
  describedNodeList,
  describedResource,
  describedResourceList,
  RESOURCE_COMPONENTS,
} from "#contracts/operator-api/resources/components.ts";
import { DIGEST_PATTERN } from "#domain/content/release.ts";
import { Failure } from "#domain/failure.ts";
import { ROLLOUT_NAME } from "#domain/fleet/rollout.ts";
import { NAME_PATTERN } from "#domain/ids.ts";
import { type AnyResource, isKind, type Kind } from "#domain/resource.ts";
import { SOFTWARE_VERSION } from "#domain/version.ts";
import { type ApiServer, createApiServer } from "#platform/http/api-server.ts";
import { describedAs } from "#platform/http/openapi.ts";
import { pinOf } from "#platform/identity/certificates.ts";
import type { Logger } from "#platform/logging.ts";
import { BLOB_BYTES_MAX } from "../blob-store/file-blob-store.ts";
import type { JoinTokens } from "../enrolment/join-tokens.ts";
import { checkPoolToJoin } from "../enrolment/pools.ts";
import { OVERLAP_MS } from "../keys/authorities.ts";
import type { OriginKeys } from "../keys/origin-keys.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { findResource, getResource, listResources } from "../log/resources.ts";
import type { ObservedNodes } from "../observed/observed-nodes.ts";
import { type FleetFacts, nodeStatus, resourceStatus } from "../observed/resource-status.ts";
import { checkGuardRails, type RailParts, type RailWarnings } from "../policy-trial/guard-rails.ts";
import { type PublishingParts, publishRelease, rollbackRelease } from "../publishing/publish.ts";
import type { RolloutDriver } from "../rollout/rollout-driver.ts";
import { applyDocuments } from "./apply.ts";
import { authorise, issueToken, type TokenDesk } from "./authorisation.ts";
import { deleteResource } from "./delete.ts";
import { addRevisionRoutes, type RevisionRouteParts } from "./revision-routes.ts";
import { addUsageRoute, type UsageRouteParts } from "./usage-route.ts";

/** A release of the most files, each with a long path. */
const RELEASE_BODY_BYTES_MAX = 64 * 1024 * 1024;
/** 500 documents of some kilobytes. */
const APPLY_BODY_BYTES_MAX = 8 * 1024 * 1024;
/** A blob of the largest size over 30 Mbit/s. */
const UPLOAD_MS_MAX = 600_000;

export interface OperatorApiParts extends PublishingParts, TokenDesk, UsageRouteParts, RevisionRouteParts {
  readonly records: UsageRouteParts["records"] & RevisionRouteParts["records"] & RailParts["records"];
  readonly keys: OriginKeys;
  readonly joinTokens: JoinTokens;
  readonly observed: ObservedNodes;
  readonly logger: Logger;
  readonly rollout: Pick<RolloutDriver, "report" | "letOut">;
  readonly trial: RailParts["trial"];
  readonly events: {
    apiRefused(code: string): void;
    /** By whom, and what was broken. */
    guardRailsForced(subject: string, broken: readonly string[]): void;
  };
}

const closed = { additionalProperties: false };
const siteParams = Type.Object({ site: Type.String({ pattern: NAME_PATTERN }) }, closed);
const blobParams = Type.Object(
  { site: Type.String({ pattern: NAME_PATTERN }), digest: Type.String({ pattern: DIGEST_PATTERN }) },
  closed,
);
const namedParams = Type.Required(resourceParamsSchema);
const kindParams = Type.Pick(namedParams, ["kind"]);

export async function createOperatorApi(parts: OperatorApiParts): Promise<ApiServer> {
  const server = await createApiServer({
    logger: parts.logger,
    title: "Perigee origin",
    version: SOFTWARE_VERSION,
    description: "Resources, releases and tokens. Every route needs a scoped operator token.",
    components: RESOURCE_COMPONENTS,
    onRefused: parts.events.apiRefused,
  });
  server.server.requestTimeout = UPLOAD_MS_MAX;
  server.addContentTypeParser("application/octet-stream", (_request, payload, done) => done(null, payload));
  addApplyRoute(server, parts);
  addResourceRoutes(server, parts);
  addRolloutRoutes(server, parts);
  addBlobRoutes(server, parts);
  addReleaseRoutes(server, parts);
  addTokenRoutes(server, parts);
  addAuthorityRoutes(server, parts);
  addUsageRoute(server, parts);
  addRevisionRoutes(server, parts);
  return server;
}

function addApplyRoute(server: ApiServer, parts: OperatorApiParts): void {
  const { log, clock } = parts;
  const applyQuery = Type.Object(
    { dryRun: Type.Boolean({ default: false }), force: Type.Boolean({ default: false }) },
    closed,
  );
  server.post(
    "/v1/apply",
    {
      schema: {
        summary: "apply documents, all or none",
        body: applyRequestSchema,
        querystring: applyQuery,
        response: { 200: applyResultSchema },
      },
      bodyLimit: APPLY_BODY_BYTES_MAX,
      config: describedAs({ body: describedApply }),
    },
    async (request) => {
      const { sub } = await authorise(parts, request.headers.authorization, "apply");
      const { dryRun, force } = request.query;
      const applied = await applyDocuments(log, request.body.documents, {
        ...{ dryRun, force, nowMs: clock.nowMs() },
        checkRails: (written) => checkGuardRails(parts, { written, deleted: [] }, { force }),
        onForced: tellForced(parts, sub),
      });
      parts.records.policies.follow(log, clock.nowMs());
      return applied;
    },
  );
}

function tellForced({ events }: OperatorApiParts, subject: string): (breaches: RailWarnings) => void {
  return (breaches) =>
    events.guardRailsForced(
      subject,
      breaches.map(({ message }) => message),
    );
}

function addResourceRoutes(server: ApiServer, parts: OperatorApiParts): void {
  const { log, observed } = parts;
  const listed = { summary: "all of a kind, with what is observed", response: { 200: resourceListSchema } };
  const listSchemas = {
    schema: { ...listed, params: kindParams },
    config: describedAs({ response: { 200: describedResourceList } }),
  };
  server.get("/v1/resources/:kind", listSchemas, async (request) => {
    await authorise(parts, request.headers.authorization, "read");
    const kind = parseKind(request.params.kind);
    const facts = fleetFacts(log, observed);
    const items = listResources(log, kind).map((item) => ({ ...item, status: statusOf(parts, item, facts) }));
    return { revision: log.revision(), items };
  });
  const one = { summary: "one resource, with what is observed", params: namedParams };
  const oneSchemas = { schema: one, config: describedAs({ response: { 200: describedResource } }) };
  server.get("/v1/resources/:kind/:name", oneSchemas, async (request) => {
    await authorise(parts, request.headers.authorization, "read");
    const { kind, name } = request.params;
    const resource = getNamed(log, parseKind(kind), name);
    return { ...resource, status: statusOf(parts, resource, fleetFacts(log, observed)) };
  });
  const querystring = Type.Object({ force: Type.Boolean({ default: false }) }, closed);
  const gone = { summary: "delete one resource", params: namedParams, querystring, response: { 200: deletedSchema } };
  server.delete("/v1/resources/:kind/:name", { schema: gone }, async (request) => {
    const { sub } = await authorise(parts, request.headers.authorization, "apply");
    const kind = parseKind(request.params.kind);
    const { name } = request.params;
    const { force } = request.query;
    return await deleteResource(parts, { kind, name }, { force, onForced: tellForced(parts, sub) });
  });
  const nodeList = { summary: "every node, with what is observed", response: { 200: nodeListSchema } };
  const nodeSchemas = { schema: nodeList, config: describedAs({ response: { 200: describedNodeList } }) };
  server.get("/v1/nodes", nodeSchemas, async (request) => {
    await authorise(parts, request.headers.authorization, "read");
    const facts = fleetFacts(log, observed);
    return { items: facts.nodes.map((node) => ({ ...node, status: nodeStatus(node, facts) })) };
  });
}

/** Throws `not-found`. A roll-out is what the origin makes of a policy: that is what is missing. */
function getNamed(log: ResourceLog, kind: Kind, name: string): AnyResource {
  if (kind !== "Rollout" || findResource(log, kind, name) !== undefined) return getResource(log, kind, name);
  const policy = findResource(log, "RolloutPolicy", ROLLOUT_NAME);
  if (policy !== undefined)
    throw new Failure("not-found", `the roll-out is named ${ROLLOUT_NAME}, and begins within a second of its policy`);
  throw new Failure(
    "not-found",
    `there is no roll-out: without a RolloutPolicy every pool has every change at once; apply one, named ${ROLLOUT_NAME}, to have changes reach one wave of pools after the other (docs/operating/rollouts.md)`,
  );
}

/** How far the roll-out is no node says alone. */
function statusOf({ rollout }: OperatorApiParts, resource: AnyResource, facts: FleetFacts) {
  return resource.kind === "Rollout" ? rollout.report() : resourceStatus(resource, facts);
}

function addRolloutRoutes(server: ApiServer, parts: OperatorApiParts): void {
  const schema = { summary: "every pool gets now what is held back from it", response: { 200: letOutSchema } };
  server.post("/v1/rollout/let-out", { schema }, async (request) => {
    await authorise(parts, request.headers.authorization, "apply");
    return { revision: await parts.rollout.letOut() };
  });
}

function addBlobRoutes(server: ApiServer, parts: OperatorApiParts): void {
  server.post(
    "/v1/sites/:site/missing-blobs",
    {
      schema: {
        summary: "which of these blobs have to be uploaded",
        params: siteParams,
        body: missingBlobsSchema,
        response: { 200: missingBlobsSchema },
      },
      bodyLimit: RELEASE_BODY_BYTES_MAX,
    },
    async (request) => {
      await authorise(parts, request.headers.authorization, `publish:${request.params.site}`);
      const digests: string[] = [];
      for (const digest of request.body.digests) {
        if ((await parts.blobs.hold(digest, parts.clock.nowMs())) === undefined) digests.push(digest);
      }
      return { digests };
    },
  );
  server.put(
    "/v1/sites/:site/blobs/:digest",
    {
      schema: {
        summary: "upload a blob, application/octet-stream",
        params: blobParams,
        response: { 200: uploadedSchema },
      },
      bodyLimit: BLOB_BYTES_MAX,
      // Before the body is read: an upload without the scope costs nothing.
      preParsing: async (request) => {
        const { site } = request.params;
        await authorise(parts, request.headers.authorization, `publish:${site}`);
      },
    },
    async (request) => {
      const { digest } = request.params;
      if (!(request.body instanceof Readable)) {
        throw new Failure("argument-invalid", "a blob is sent as application/octet-stream");
      }
      return { digest, sizeBytes: await parts.blobs.put(digest, request.body) };
    },
  );
}

function addReleaseRoutes(server: ApiServer, parts: OperatorApiParts): void {
  server.post(
    "/v1/sites/:site/releases",
    {
      schema: {
        summary: "make a release of uploaded blobs",
        params: siteParams,
        body: releaseRequestSchema,
        response: { 201: releaseResultSchema },
      },
      bodyLimit: RELEASE_BODY_BYTES_MAX,
    },
    async (request, reply) => {
      const { site } = request.params;
      await authorise(parts, request.headers.authorization, `publish:${site}`);
      return reply.code(201).send(await publishRelease(parts, site, request.body));
    },
  );
  server.post(
    "/v1/sites/:site/rollback",
    {
      schema: {
        summary: "an earlier release's content as a new one",
        params: siteParams,
        body: rollbackRequestSchema,
        response: { 201: releaseResultSchema },
      },
    },
    async (request, reply) => {
      const { site } = request.params;
      await authorise(parts, request.headers.authorization, `publish:${site}`);
      return reply.code(201).send(await rollbackRelease(parts, site, request.body.toGeneration));
    },
  );
}

function addTokenRoutes(server: ApiServer, parts: OperatorApiParts): void {
  const join = { body: joinTokenRequestSchema, response: { 201: joinTokenResultSchema } };
  server.post(
    "/v1/join-tokens",
    { schema: { summary: "a one-time token to join", ...join } },
    async (request, reply) => {
      await authorise(parts, request.headers.authorization, "join");
      const { role, name, pool, labels, lifetimeSeconds } = request.body;
      if ((role === "scheduler") !== (pool === undefined)) {
        throw new Failure("argument-invalid", "an edge or an agent joins a pool, a scheduler none: check `pool`");
      }
      const grant = { role, name, pool: pool ?? "-", labels: labels ?? {} };
      checkPoolToJoin(parts.log, grant);
      const made = parts.joinTokens.create(grant, lifetimeSeconds * 1000);
      return reply.code(201).send({ ...made, pin: pinOf(parts.keys.authorities.root) });
    },
  );
  const app = { body: appTokenRequestSchema, response: { 201: tokenResultSchema } };
  server.post("/v1/app-tokens", { schema: { summary: "a token of a web app", ...app } }, async (request, reply) => {
    await authorise(parts, request.headers.authorization, "admin");
    const { app, origins, maxSessions, tenant, lifetimeSeconds } = request.body;
    getResource(parts.log, "RenderApp", app);
    const claims = { sub: app, origins, maxSessions, ...(tenant === undefined ? {} : { tenant }) };
    return reply.code(201).send(await issueToken(parts, "app", claims, lifetimeSeconds));
  });
  const operator = { body: operatorTokenRequestSchema, response: { 201: tokenResultSchema } };
  const forOperator = { summary: "a token of an operator or a pipeline", ...operator };
  server.post("/v1/operator-tokens", { schema: forOperator }, async (request, reply) => {
    await authorise(parts, request.headers.authorization, "admin");
    const { subject, scopes, lifetimeSeconds } = request.body;
    return reply.code(201).send(await issueToken(parts, "operator", { sub: subject, scopes }, lifetimeSeconds));
  });
}

function addAuthorityRoutes(server: ApiServer, parts: OperatorApiParts): void {
  const { authorities } = parts.keys;
  const described = () => {
    const { issuing, retiring, root } = authorities;
    const of = (certificate: X509Certificate) => ({
      certificatePin: pinOf(certificate),
      expiresAtMs: certificate.validToDate.getTime(),
    });
    const { retiresAtMs = 0 } = retiring ?? {};
    return {
      pin: pinOf(root),
      issuing: of(issuing.certificate),
      ...(retiring === undefined ? {} : { retiring: { ...of(retiring.certificate), retiresAtMs } }),
    };
  };
  const shown = { summary: "who issues certificates, and who is still trusted", response: { 200: authoritySchema } };
  server.get("/v1/authority", { schema: shown }, async (request) => {
    await authorise(parts, request.headers.authorization, "read");
    return described();
  });
  const rotation = { body: rotationRequestSchema, response: { 200: authoritySchema } };
  const summary = "a new certificate authority; the one before is trusted until it retires";
  server.post("/v1/authority/rotation", { schema: { summary, ...rotation } }, async (request) => {
    await authorise(parts, request.headers.authorization, "admin");
    const { overlapSeconds = OVERLAP_MS / 1000 } = request.body;
    await authorities.rotate(overlapSeconds * 1000);
    return described();
  });
}

export function fleetFacts(log: ResourceLog, observed: ObservedNodes): FleetFacts {
  return { nodes: listResources(log, "Node"), releases: listResources(log, "Release"), observed: observed.list() };
}

function parseKind(text: string): Kind {
  if (isKind(text)) return text;
  throw new Failure("argument-invalid", `there is no kind ${JSON.stringify(text)}`);
}
