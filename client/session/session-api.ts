/** The calls of a session's life: create, probe, place, connect at an edge, renew, report, end. */
import type {
  ConnectedSession,
  ConnectSession,
  CreateSession,
  PlacementAnswer,
  ProbeResult,
  QualityReport,
  SessionCandidates,
} from "#contracts/operator-api/sessions.ts";
import type { ClientClock } from "../clock.ts";
import { ClientFailure } from "../failure.ts";
import { isRecord, requestJson } from "../http.ts";
import type { ClientKey } from "./key.ts";

export interface SessionApiOptions {
  /** Scheme, host and port of the scheduler. */
  readonly scheduler: string;
  readonly appToken: string;
  readonly key: ClientKey;
  readonly clock: ClientClock;
}

export type RenewReason = "promotion" | "pool-lost" | "refused" | "draining";

export interface SessionApi {
  create(wish: Omit<CreateSession, "key">): Promise<SessionCandidates>;
  place(session: string, results: readonly ProbeResult[]): Promise<PlacementAnswer>;
  /** `undefined`: keep what you have. */
  renew(
    session: string,
    renewal: { placement: string; reason: RenewReason; results?: readonly ProbeResult[] },
  ): Promise<PlacementAnswer | undefined>;
  connect(edge: string, grant: Omit<ConnectSession, "proof">): Promise<ConnectedSession>;
  renewTicket(edge: string, session: string): Promise<string>;
  report(edge: string, session: string, quality: Omit<QualityReport, "proof">): Promise<void>;
  end(session: string, edge: string | undefined): Promise<void>;
}

export function createSessionApi({ scheduler, appToken, key, clock }: SessionApiOptions): SessionApi {
  const call = async (method: "POST" | "DELETE", url: string, body: object, isProven: boolean) => {
    const proof = isProven ? { proof: await key.prove(method, url) } : {};
    return requestJson({ method, url, clock, bearer: appToken, body: { ...body, ...proof } });
  };
  const sessionUrl = (base: string, session: string) => `${base}/v1/sessions/${encodeURIComponent(session)}`;
  const edgeUrl = (edge: string) => `${edge}/.perigee`;
  return {
    create: async (wish) =>
      checked(isCandidates, await call("POST", `${scheduler}/v1/sessions`, { ...wish, key: key.publicKey }, false)),
    place: async (session, results) =>
      checked(isPlacement, await call("POST", `${sessionUrl(scheduler, session)}/probes`, { results }, true)),
    async renew(session, renewal) {
      const answer = await call("POST", `${sessionUrl(scheduler, session)}/renew`, renewal, true);
      return answer === undefined ? undefined : checked(isPlacement, answer);
    },
    connect: async (edge, grant) =>
      checked(isConnected, await call("POST", `${edgeUrl(edge)}/v1/sessions`, grant, true)),
    async renewTicket(edge, session) {
      const answer = await call("POST", `${sessionUrl(edgeUrl(edge), session)}/ticket`, {}, true);
      if (isRecord(answer) && typeof answer["resume"] === "string") return answer["resume"];
      throw malformed();
    },
    async report(edge, session, quality) {
      await call("POST", `${sessionUrl(edgeUrl(edge), session)}/reports`, quality, true);
    },
    async end(session, edge) {
      const urls = [
        sessionUrl(scheduler, session),
        ...(edge === undefined ? [] : [sessionUrl(edgeUrl(edge), session)]),
      ];
      await Promise.allSettled(urls.map((url) => call("DELETE", url, {}, true)));
    },
  };
}

function checked<T>(isRight: (answer: unknown) => answer is T, answer: unknown): T {
  if (isRight(answer)) return answer;
  throw malformed();
}

function malformed(): ClientFailure {
  return new ClientFailure(
    "upstream-malformed",
    "the answer is not what this version of the client knows: reload the page",
  );
}

/** What the client relies on of each answer; the services hold the whole schemas. */
function isCandidates(answer: unknown): answer is SessionCandidates {
  return isRecord(answer) && typeof answer["session"] === "string" && Array.isArray(answer["candidates"]);
}

function isPlacement(answer: unknown): answer is PlacementAnswer {
  if (!isRecord(answer)) return false;
  if (answer["state"] === "queued") return typeof answer["retryAfterSeconds"] === "number";
  const isPlaced = answer["state"] === "placed" || answer["state"] === "degraded";
  return isPlaced && typeof answer["placement"] === "string" && Array.isArray(answer["edges"]);
}

function isConnected(answer: unknown): answer is ConnectedSession {
  return (
    isRecord(answer) &&
    typeof answer["session"] === "string" &&
    isRecord(answer["renderClass"]) &&
    typeof answer["resume"] === "string"
  );
}
