/** The session API over HTTP: `/.perigee/v1/sessions…`, for pages of any origin; problems for everything refused. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Static, TSchema } from "typebox";
import { Value } from "typebox/value";
import {
  connectSessionSchema,
  endSessionSchema,
  qualityReportSchema,
  ticketRequestSchema,
  watchSessionSchema,
} from "#contracts/operator-api/sessions.ts";
import { isOriginAllowed } from "#contracts/tokens/web-origins.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { faultsOf } from "#domain/schema-faults.ts";
import type { Clock } from "#platform/clock.ts";
import { sendProblem } from "../published/problems.ts";
import type { SessionOperation } from "./events.ts";
import { type GrantPorts, verifyAppToken } from "./grants.ts";
import { type NodeNames, type ProvenCall, urlsOf } from "./proofs.ts";
import type { SessionCalls } from "./session-calls.ts";

/** Two tokens and an SDP offer at their longest, escaped. */
export const BODY_BYTES_MAX = 256 * 1024;
export const BODY_MS_MAX = 5_000;
/** A browser asks again after this. */
const PREFLIGHT_SECONDS = 600;
/** A report is durable here and not at the origin yet (RFC 9110 section 15.3.3). */
const ACCEPTED = 202;
const SESSIONS = "/.perigee/v1/sessions";
const SESSION_PATH = /^\/\.perigee\/v1\/sessions\/(?<session>[A-Za-z0-9_-]{8,64})(?:\/(?<part>ticket|reports|watch))?$/;

export interface SessionHttpPorts extends GrantPorts, NodeNames {
  readonly calls: SessionCalls;
  readonly clock: Clock;
  readonly events: {
    called(operation: SessionOperation): void;
    callRefused(operation: SessionOperation, failure: Failure): void;
    broke(error: unknown): void;
  };
}

type Route =
  | { readonly operation: "connect" }
  | { readonly operation: "ticket" | "report" | "watch" | "end"; readonly session: string };

export function isSessionPath(path: string): boolean {
  return path === SESSIONS || path.startsWith(`${SESSIONS}/`);
}

export async function answerSessionCall(
  ports: SessionHttpPorts,
  path: string,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.setHeader("access-control-allow-origin", "*");
  response.setHeader("access-control-expose-headers", "retry-after");
  if (incoming.method === "OPTIONS") return preflight(response);
  const route = routeOf(incoming.method, path);
  if (route === undefined) {
    const failure = new Failure("not-found", `${incoming.method} ${path} is no call of a session`);
    return sendProblem(response, failure);
  }
  try {
    const body = await readJson(incoming, ports.clock);
    await checkOrigin(ports, incoming.headers);
    const urls = urlsOf(path, incoming.headers.host, ports);
    const { signal } = leaving(response);
    const answer = await perform(ports, route, { method: incoming.method ?? "", urls, signal }, body);
    ports.events.called(route.operation);
    if (route.operation === "report") response.writeHead(ACCEPTED, { "cache-control": "no-store" }).end();
    else sendJson(response, answer);
  } catch (error) {
    if (!isFailure(error)) ports.events.broke(error);
    const failure = isFailure(error)
      ? error
      : new Failure("unavailable", "the edge has a bug; its log has the details");
    if (isFailure(error)) ports.events.callRefused(route.operation, failure);
    // What was not read ends with the connection.
    if (!incoming.complete && !response.headersSent) response.setHeader("connection", "close");
    if (response.headersSent || response.destroyed) response.destroy();
    else sendProblem(response, failure, isFailure(error) ? {} : { status: 500 });
  }
}

function leaving(response: ServerResponse): AbortController {
  const gone = new AbortController();
  response.once("close", () => gone.abort(new Failure("unavailable", "the client is gone")));
  return gone;
}

function routeOf(method: string | undefined, path: string): Route | undefined {
  if (path === SESSIONS) return method === "POST" ? { operation: "connect" } : undefined;
  const { session, part } = SESSION_PATH.exec(path)?.groups ?? {};
  if (session === undefined) return undefined;
  if (method === "DELETE" && part === undefined) return { operation: "end", session };
  if (method !== "POST" || part === undefined) return undefined;
  return { operation: part === "reports" ? "report" : part === "watch" ? part : "ticket", session };
}

/** `undefined`: there is nothing to say. */
async function perform({ calls }: SessionHttpPorts, route: Route, call: ProvenCall, body: unknown): Promise<unknown> {
  switch (route.operation) {
    case "connect":
      return calls.connect(call, parseBody(connectSessionSchema, body));
    case "ticket":
      return calls.renewTicket(call, route.session, parseBody(ticketRequestSchema, body));
    case "report":
      return calls.report(call, route.session, parseBody(qualityReportSchema, body));
    case "watch":
      return calls.watch(call, route.session, parseBody(watchSessionSchema, body));
    case "end":
      return calls.end(call, route.session, parseBody(endSessionSchema, body));
  }
}

/** An app token that a call carries says which pages may use it; what lets the call in is its grant and proof. */
async function checkOrigin(ports: GrantPorts, headers: IncomingMessage["headers"]): Promise<void> {
  const { origin } = headers;
  const bearer = /^Bearer (?<token>\S+)$/i.exec(headers.authorization ?? "")?.groups?.["token"];
  if (origin === undefined || bearer === undefined) return;
  try {
    const { origins } = await verifyAppToken(ports, bearer);
    if (isOriginAllowed(origins, origin)) return;
  } catch (error) {
    // A session outlives the token that it was made with.
    if (isFailure(error, "token-expired")) return;
    throw error;
  }
  throw new Failure("permission-denied", `the app token is not for pages of ${origin}`);
}

async function readJson(incoming: IncomingMessage, clock: Clock): Promise<unknown> {
  const late = () => new Failure("deadline-exceeded", `the body did not come within ${BODY_MS_MAX} ms`);
  using _ = clock.timer(BODY_MS_MAX, () => incoming.destroy(late()));
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Not destroyed with the loop: who sent too much is told so.
  for await (const chunk of incoming.iterator({ destroyOnReturn: false })) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new Failure("argument-invalid", `a body has at most ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch (cause) {
    throw new Failure("argument-invalid", "the body must be JSON", { cause });
  }
}

/** Throws `argument-invalid` with every fault. */
export function parseBody<T extends TSchema>(schema: T, body: unknown): Static<T> {
  if (Value.Check(schema, body)) return body;
  const faults = faultsOf(Value.Errors(schema, body), body);
  const message = faults.map((fault) => fault.message).join("\n");
  throw new Failure("argument-invalid", message, { detail: { faults } });
}

function preflight(response: ServerResponse): void {
  response.writeHead(204, {
    "access-control-allow-methods": "GET, POST, DELETE",
    "access-control-allow-headers": "authorization, content-type",
    "access-control-max-age": String(PREFLIGHT_SECONDS),
  });
  response.end();
}

function sendJson(response: ServerResponse, answer: unknown): void {
  if (answer === undefined) {
    response.writeHead(204, { "cache-control": "no-store" }).end();
    return;
  }
  const body = JSON.stringify(answer);
  response.writeHead(200, {
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(body)),
    "cache-control": "no-store",
  });
  response.end(body);
}
