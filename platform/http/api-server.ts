/** Makes a fastify server for a JSON API: TypeBox validation, RFC 9457 problems, OpenAPI with a page to try it. */
import fastifyHelmet from "@fastify/helmet";
import fastifyRateLimit from "@fastify/rate-limit";
import fastifySwagger from "@fastify/swagger";
import fastifySwaggerUi from "@fastify/swagger-ui";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import fastify, { type FastifyReply, type FastifyRequest, type FastifySchemaCompiler, LogController } from "fastify";
import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { Value } from "typebox/value";
import { Failure, type FailureCode, isFailure } from "#domain/failure.ts";
import { faultsOf } from "#domain/schema-faults.ts";
import type { Logger } from "../logging.ts";
import { readJsonBodies, refusalOf } from "./body-refusals.ts";
import { type DocumentOptions, openapiOptions } from "./openapi.ts";
import { type Problem, problemOf } from "./problem.ts";

/** A resource or a session request is some kilobytes; blobs have their own limit on their own route. */
export const API_BODY_BYTES_MAX = 1024 * 1024;
/** From the first byte of a request to its last: a slow sender holds a socket no longer. */
export const API_REQUEST_MS_MAX = 30_000;
/** Requests of one address a minute (1,000 a second), unless the server is made with another limit. */
export const API_REQUESTS_PER_MINUTE_MAX = 60_000;
const MINUTE_MS = 60_000;
/** Addresses whose requests are counted at a time; the least recent is forgotten. */
const RATE_ADDRESSES_MAX = 5_000;

export interface ApiServerOptions extends DocumentOptions {
  readonly logger: Logger;
  /** The limit of one address; answered with `overloaded` above it. */
  readonly requestsPerMinuteMax?: number;
  /** Told of each request that is refused: a failure's code, or `bug`. */
  readonly onRefused?: (code: FailureCode | "bug") => void;
  /** Networks in CIDR form: what X-Forwarded-For says is believed of them, as far as it leads to them. */
  readonly trustedProxies?: readonly string[];
}

export type ApiServer = Awaited<ReturnType<typeof createApiServer>>;

/** Routes are added to what it resolves with; then `listen`, and `close` at the end. */
export async function createApiServer(options: ApiServerOptions) {
  const { onRefused = () => undefined } = options;
  const server = fastify({
    loggerInstance: options.logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: API_BODY_BYTES_MAX,
    requestTimeout: API_REQUEST_MS_MAX,
    forceCloseConnections: true,
    trustProxy: [...(options.trustedProxies ?? [])],
    frameworkErrors: (error, request, reply) => void answerError(error, request, reply, onRefused),
  }).withTypeProvider<TypeBoxTypeProvider>();
  server.setValidatorCompiler(compileValidator);
  readJsonBodies(server);
  server.setErrorHandler((error: unknown, request, reply) => answerError(error, request, reply, onRefused));
  server.setNotFoundHandler((request, reply) => {
    const failure = new Failure("not-found", `${request.method} ${request.url} is not here; /docs lists what is`);
    onRefused(failure.code);
    return sendProblem(reply, problemOf(failure));
  });
  server.addHook("onResponse", async (request, reply) => {
    const route = request.routeOptions.url ?? "none";
    const fields = { method: request.method, route, status: reply.statusCode, durationMs: reply.elapsedTime };
    request.log.debug(fields, "request answered");
  });
  await server.register(fastifyHelmet, helmetOptions);
  await server.register(
    fastifyRateLimit,
    rateLimitOptions(options.requestsPerMinuteMax ?? API_REQUESTS_PER_MINUTE_MAX),
  );
  await server.register(fastifySwagger, openapiOptions(options));
  await server.register(fastifySwaggerUi, { routePrefix: "/docs" });
  server.get("/openapi.json", { schema: { hide: true } }, async () => server.swagger());
  return server;
}

/** Pages are our own and Swagger UI's, which styles itself inline; TLS is ended elsewhere, so nothing is upgraded to it. */
const helmetOptions = {
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      defaultSrc: ["'self'"],
      imgSrc: ["'self'", "data:"],
      styleSrc: ["'self'", "'unsafe-inline'"],
      scriptSrc: ["'self'"],
      objectSrc: ["'none'"],
      frameAncestors: ["'none'"],
      baseUri: ["'none'"],
    },
  },
  strictTransportSecurity: false,
  crossOriginResourcePolicy: false,
} as const;

function rateLimitOptions(requestsPerMinuteMax: number) {
  return {
    max: requestsPerMinuteMax,
    timeWindow: MINUTE_MS,
    cache: RATE_ADDRESSES_MAX,
    errorResponseBuilder: () =>
      new Failure("overloaded", `more than ${requestsPerMinuteMax} requests in a minute; wait and try again`, {
        retryable: true,
      }),
  };
}

/** Text in a path or query is converted to the schema's types; a body must have them. */
const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validator = Compile(schema);
  const part = httpPart ?? "body";
  return (sent: unknown) => {
    const typed = part === "body" ? sent : Value.Convert(schema, sent);
    const value: unknown = Value.Default(schema, typed);
    if (validator.Check(value)) return { value };
    const faults = faultsOf(validator.Errors(value), value);
    const message = faults.map((fault) => `${part}: ${fault.message}`).join("\n");
    return { error: new Failure("argument-invalid", message, { detail: { faults } }) };
  };
};

function sendProblem(reply: FastifyReply, problem: Pick<Problem, "status">): FastifyReply {
  return reply.code(problem.status).type("application/problem+json").send(JSON.stringify(problem));
}

function answerError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  onRefused: NonNullable<ApiServerOptions["onRefused"]>,
): FastifyReply {
  if (isFailure(error)) {
    onRefused(error.code);
    const problem = problemOf(error);
    if (problem.status >= 500) request.log.warn({ err: error }, "request failed");
    if (error.retryable && !reply.hasHeader("retry-after")) reply.header("retry-after", "1");
    return sendProblem(reply, problem);
  }
  const refusal = refusalOf(error, request);
  onRefused(refusal?.failure.code ?? "bug");
  if (refusal !== undefined) return sendProblem(reply, { ...problemOf(refusal.failure), status: refusal.status });
  request.log.error({ err: error }, "request failed by a bug");
  const detail = "the server has a bug; its log has the details under this instance";
  const bug = { type: "about:blank", title: "internal error", status: 500, detail, instance: request.id };
  return sendProblem(reply, bug);
}
