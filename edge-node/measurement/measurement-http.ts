/** Probes and pings over HTTP: what a round trip is measured with, for pages of any origin. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { TOKEN_LENGTH_MAX } from "#contracts/operator-api/sessions.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { sendProblem } from "../published/problems.ts";
import type { ProbeAnswers } from "./probe-answers.ts";
import type { UdpProbeTarget } from "./udp-probes.ts";

const PING = "/.perigee/v1/ping";
const PROBE = "/.perigee/v1/probe";

export interface MeasurementPorts {
  readonly answers: ProbeAnswers;
  /** Where a round trip is measured without a connection. */
  readonly udp: UdpProbeTarget | undefined;
  readonly events: { probeAnswered(): void; probeRefused(failure: Failure): void };
}

export function isMeasurementPath(path: string): boolean {
  return path === PING || path === PROBE;
}

export async function answerMeasurement(
  { answers, udp, events }: MeasurementPorts,
  path: string,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.setHeader("access-control-allow-origin", "*");
  response.setHeader("timing-allow-origin", "*");
  response.setHeader("cache-control", "no-store");
  if (incoming.method !== "GET" && incoming.method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    return sendProblem(response, new Failure("argument-invalid", `${path} is asked by GET`), { status: 405 });
  }
  if (path === PING) {
    response.writeHead(204).end();
    return;
  }
  try {
    const body = JSON.stringify({ answer: await answers.answer(tokenOf(incoming.url ?? "")), udp });
    events.probeAnswered();
    response.writeHead(200, {
      "content-type": "application/json",
      "content-length": String(Buffer.byteLength(body)),
    });
    response.end(incoming.method === "HEAD" ? undefined : body);
  } catch (error) {
    if (!isFailure(error)) throw error;
    events.probeRefused(error);
    sendProblem(response, error);
  }
}

function tokenOf(target: string): string {
  const token = new URLSearchParams(target.split("?", 2)[1]).get("token") ?? "";
  if (token !== "" && token.length <= TOKEN_LENGTH_MAX) return token;
  throw new Failure("token-invalid", "the probe needs the token that the scheduler gave for this node");
}
