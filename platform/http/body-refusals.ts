/** What fastify itself refuses of a request, before a route sees it, as a failure that says what was expected. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { Failure } from "#domain/failure.ts";

/** Reads JSON as fastify does, `__proto__` refused; what is not JSON is answered with where the parser stopped. */
export function readJsonBodies(server: Pick<FastifyInstance, "addContentTypeParser" | "getDefaultJsonParser">): void {
  const parse = server.getDefaultJsonParser("error", "error");
  server.addContentTypeParser<string>("application/json", { parseAs: "string" }, (request, body, done) =>
    parse(request, body, (error, value) => (error === null ? done(null, value) : done(failureOfJson(body), undefined))),
  );
}

function failureOfJson(body: string): Failure {
  if (body === "") return new Failure("argument-invalid", "the body must be JSON, got nothing");
  try {
    JSON.parse(body);
  } catch (cause) {
    const where = cause instanceof Error ? cause.message : String(cause);
    return new Failure("argument-invalid", `the body must be JSON: ${where}`, { cause });
  }
  return new Failure("argument-invalid", "the body must be JSON without the keys __proto__ and constructor.prototype");
}

export interface Refusal {
  readonly failure: Failure;
  /** Closer than the failure's own: 413, 415. */
  readonly status: number;
}

/** Undefined where it is no refusal of fastify's. */
export function refusalOf(error: unknown, request: FastifyRequest): Refusal | undefined {
  if (!(error instanceof Error) || !("statusCode" in error)) return undefined;
  const status = Number(error.statusCode);
  if (!(status >= 400 && status < 500)) return undefined;
  return {
    status,
    failure: new Failure("argument-invalid", describeRefusal(status, error, request), { cause: error }),
  };
}

function describeRefusal(status: number, error: Error, request: FastifyRequest): string {
  switch (status) {
    case 413:
      return `the body must have at most ${request.routeOptions.bodyLimit} bytes`;
    case 415: {
      const got = JSON.stringify(request.headers["content-type"]?.slice(0, 128) ?? "");
      return `the Content-Type must be application/json where /docs says nothing else, got ${got}`;
    }
    default:
      return error.message;
  }
}
