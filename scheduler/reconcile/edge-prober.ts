/** Probes an edge as a client does: a token for it, and its signed answer. */
import { lookup as lookupHost } from "node:dns";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { LookupFunction } from "node:net";
import { TOKEN_LENGTH_MAX } from "#contracts/operator-api/sessions.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { FleetEdge } from "../facts/fleet.ts";
import type { Measurement, ProbeTokens } from "../session/probe-tokens.ts";

/** Less than the time between two probes of one edge. */
const PROBE_MS_MAX = 2000;
/** The answer's token and the JSON around it. */
const BODY_BYTES_MAX = TOKEN_LENGTH_MAX + 1024;

export interface EdgeProberPorts {
  readonly probeTokens: ProbeTokens;
  readonly clock: Clock;
  readonly learn: (measurement: Measurement) => void;
  readonly events: { probed(outcome: string): void };
}

export type EdgeProber = (edge: FleetEdge) => Promise<boolean>;

export function createEdgeProber(ports: EdgeProberPorts): EdgeProber {
  return async (edge) => {
    try {
      const measurement = await measure(ports, edge);
      ports.learn(measurement);
      ports.events.probed("answered");
      return true;
    } catch (error) {
      if (!isFailure(error)) throw error;
      ports.events.probed(error.code);
      return false;
    }
  };
}

async function measure({ probeTokens, clock }: EdgeProberPorts, edge: FleetEdge): Promise<Measurement> {
  const { node, pool, contentUrl } = edge;
  const { url, token } = await probeTokens.issue({ node, pool, session: undefined }, contentUrl);
  const target = new URL(`${url}/.perigee/v1/probe?token=${encodeURIComponent(token)}`);
  const begunMs = clock.monotonicMs();
  const answer = answerOf(await fetchText(target, clock.deadline(PROBE_MS_MAX)), target);
  return probeTokens.verify({ answer, rttMs: [clock.monotonicMs() - begunMs] });
}

function answerOf(text: string, target: URL): string {
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === "object" && body !== null && "answer" in body && typeof body.answer === "string") {
      return body.answer;
    }
  } catch (cause) {
    throw new Failure("upstream-malformed", `${target.host} gave no probe answer`, { cause });
  }
  throw new Failure("upstream-malformed", `${target.host} gave no probe answer`);
}

function fetchText(target: URL, signal: AbortSignal): Promise<string> {
  const request = target.protocol === "https:" ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void =>
      reject(new Failure("unavailable", `${target.host} cannot be probed`, { cause, retryable: true }));
    const call = request(target, { signal, lookup: lookupWithLocalhost, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.byteLength;
        if (bytes > BODY_BYTES_MAX) call.destroy(new Error(`an answer of more than ${BODY_BYTES_MAX} bytes`));
        else chunks.push(chunk);
      });
      response.once("error", fail);
      response.once("end", () => {
        if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString());
        else fail(new Error(`status ${response.statusCode}`));
      });
    });
    call.once("error", fail);
    call.end();
  });
}

/** Names under `localhost` are loopback (RFC 6761 section 6.3), which not every system's resolver knows. */
const lookupWithLocalhost: LookupFunction = (host, options, done) => {
  lookupHost(host.endsWith(".localhost") ? "127.0.0.1" : host, options, done);
};
