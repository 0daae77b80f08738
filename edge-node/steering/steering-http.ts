/** Steering over HTTP while the edge is cut off: where a site's edges are, and a redirect for a site that is not served here. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Failure } from "#domain/failure.ts";
import { isName, parseHostName } from "#domain/ids.ts";
import { sendProblem } from "../published/problems.ts";
import { decideRedirect, type SteeringFacts, steerBy } from "./cut-off-steering.ts";

const STEER = "/v1/steer";
/** The same under any host name: a page asks the edge that served it, whose only name it knows may be its site's. */
export const STEER_HERE = "/.perigee/v1/steer";

export interface SteeringPorts {
  readonly facts: () => SteeringFacts;
  readonly isSite: (site: string) => boolean;
  /** By a Host field: a site's own name, or `SITE.NODE`. */
  readonly siteOf: (
    host: string | undefined,
  ) => { readonly name: string; readonly spec: { readonly hostnames: readonly string[] } } | undefined;
  readonly events: { steered(how: "json" | "redirect"): void };
}

/** False: not steering, or nothing that an edge may say now. */
export function answerSteering(
  ports: SteeringPorts,
  path: string,
  incoming: IncomingMessage,
  response: ServerResponse,
): boolean {
  const facts = ports.facts();
  if (!facts.isCutOff) return false;
  const site = ports.siteOf(incoming.headers.host);
  const isSafe = incoming.method === "GET" || incoming.method === "HEAD";
  const isQuestion = path === STEER_HERE || (path === STEER && site === undefined);
  if (isQuestion) return isSafe && answerJson(ports, facts, incoming, response);
  if (site === undefined) return false;
  const host = parseHostName((incoming.headers.host ?? "").replace(/:\d{1,5}$/, ""));
  const isByOwnHostname = site.spec.hostnames.some((hostname) => hostname.toLowerCase() === host);
  const decision = decideRedirect(facts, { site: site.name, isByOwnHostname });
  if (decision.kind === "serve-here") return false;
  ports.events.steered("redirect");
  const location = `${decision.to}${targetOf(incoming.url ?? "/")}`;
  response.writeHead(isSafe ? 302 : 307, { location, "cache-control": "no-store", "content-length": "0" }).end();
  return true;
}

function answerJson(
  { isSite, events }: SteeringPorts,
  facts: SteeringFacts,
  incoming: IncomingMessage,
  response: ServerResponse,
): boolean {
  const site = new URLSearchParams((incoming.url ?? "").split("?", 2)[1]).get("site") ?? "";
  response.setHeader("access-control-allow-origin", "*");
  const answer = isName(site) && isSite(site) ? steerBy(facts, site) : undefined;
  if (answer === undefined) {
    sendProblem(
      response,
      new Failure("not-found", `no edge is known here for a site ${JSON.stringify(site.slice(0, 63))}`),
    );
    return true;
  }
  events.steered("json");
  const body = JSON.stringify(answer);
  const length = String(Buffer.byteLength(body));
  response.writeHead(200, {
    "content-type": "application/json",
    "cache-control": "no-store",
    "content-length": length,
  });
  response.end(incoming.method === "HEAD" ? undefined : body);
  return true;
}

/** Path and query, also of a target in absolute form (RFC 9112 section 3.2.2). */
function targetOf(target: string): string {
  if (target.startsWith("/")) return target;
  const parsed = URL.parse(target);
  return parsed === null ? "/" : `${parsed.pathname}${parsed.search}`;
}
