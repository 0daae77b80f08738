/** The calls of a session's life: create, probe, place, connect at an edge, renew, report, end. */
import type {
  ConnectedSession,
  ConnectSession,
  CreateSession,
  PlacementAnswer,
  ProbeResult,
  QualityReport,
  SessionCandidates,
  SessionWatch,
} from "#contracts/operator-api/sessions.ts";
import { parseIceUrl } from "#domain/session/ice-server.ts";
import type { ClientClock } from "../clock.ts";
import { ClientFailure } from "../failure.ts";
import { isRecord, REQUEST_DEADLINE_MS, requestJson } from "../http.ts";
import type { ClientKey } from "./key.ts";

/** An edge holds a watch for 20 s. */
export const WATCH_DEADLINE_MS = 25_000;

export interface SessionApiOptions {
  /** Scheme, host and port of the scheduler. */
  readonly scheduler: string;
  readonly appToken: string;
  readonly key: ClientKey;
  readonly clock: ClientClock;
}

export type RenewReason = "promotion" | "pool-lost" | "refused" | "draining";

export interface SessionApi {
  create(wish: Omit<CreateSession, "key">, signal?: AbortSignal): Promise<SessionCandidates>;
  place(session: string, results: readonly ProbeResult[], signal?: AbortSignal): Promise<PlacementAnswer>;
  /** `undefined`: keep what you have. */
  renew(session: string, renewal: Renewal, signal?: AbortSignal): Promise<PlacementAnswer | undefined>;
  connect(edge: string, grant: Omit<ConnectSession, "proof">, signal?: AbortSignal): Promise<ConnectedSession>;
  /** An edge that does not know the session, another of its pool or one that was started anew, is shown its last ticket. */
  renewTicket(edge: string, session: string, shown?: string, signal?: AbortSignal): Promise<string>;
  report(edge: string, session: string, quality: Quality, signal?: AbortSignal): Promise<void>;
  /** Answered once no agent of the edge's pool holds the session, or after some seconds. */
  watch(edge: string, session: string, signal?: AbortSignal): Promise<SessionWatch>;
  /** Tells whoever can be reached; the session ends by itself where nobody can. */
  end(session: string, edge: string | undefined): Promise<void>;
}

export interface Renewal {
  /** The last one that was given. */
  readonly placement: string;
  readonly reason: RenewReason;
  readonly results?: readonly ProbeResult[];
}

/** What a client reports of a session. */
export type Quality = Omit<QualityReport, "proof">;

interface ProvenCall {
  readonly method: "POST" | "DELETE";
  readonly url: string;
  readonly body: object;
  readonly signal?: AbortSignal | undefined;
  readonly withinMs?: number;
}

export function createSessionApi({ scheduler, appToken, key, clock }: SessionApiOptions): SessionApi {
  const bearer = appToken;
  const callProven = async ({
    method,
    url,
    body,
    signal,
    withinMs = REQUEST_DEADLINE_MS,
  }: ProvenCall): Promise<unknown> => {
    const proof = await key.prove(method, url);
    const keepalive = method === "DELETE";
    return requestJson({ method, url, clock, bearer, body: { ...body, proof }, signal, keepalive, withinMs });
  };
  const sessionUrl = (base: string, session: string) => `${base}/v1/sessions/${encodeURIComponent(session)}`;
  const edgeUrl = (edge: string) => `${edge}/.perigee`;
  return {
    async create(wish, signal) {
      const body = { ...wish, key: key.publicKey };
      const url = `${scheduler}/v1/sessions`;
      return checked(isCandidates, await requestJson({ method: "POST", url, clock, bearer, body, signal }));
    },
    async place(session, results, signal) {
      const url = `${sessionUrl(scheduler, session)}/probes`;
      return checked(isPlacement, await callProven({ method: "POST", url, body: { results }, signal }));
    },
    async renew(session, renewal, signal) {
      const url = `${sessionUrl(scheduler, session)}/renew`;
      const answer = await callProven({ method: "POST", url, body: renewal, signal });
      return answer === undefined ? undefined : checked(isPlacement, answer);
    },
    async connect(edge, grant, signal) {
      const url = `${edgeUrl(edge)}/v1/sessions`;
      return checked(isConnected, await callProven({ method: "POST", url, body: grant, signal }));
    },
    async renewTicket(edge, session, shown, signal) {
      const url = `${sessionUrl(edgeUrl(edge), session)}/ticket`;
      const body = shown === undefined ? {} : { resume: shown };
      const answer = await callProven({ method: "POST", url, body, signal });
      if (isRecord(answer) && typeof answer["resume"] === "string") return answer["resume"];
      throw malformed();
    },
    async report(edge, session, quality, signal) {
      await callProven({ method: "POST", url: `${sessionUrl(edgeUrl(edge), session)}/reports`, body: quality, signal });
    },
    async watch(edge, session, signal) {
      const url = `${sessionUrl(edgeUrl(edge), session)}/watch`;
      return checked(isWatch, await callProven({ method: "POST", url, body: {}, signal, withinMs: WATCH_DEADLINE_MS }));
    },
    async end(session, edge) {
      const bases = [scheduler, ...(edge === undefined ? [] : [edgeUrl(edge)])];
      const calls = bases.map((base) => callProven({ method: "DELETE", url: sessionUrl(base, session), body: {} }));
      await Promise.allSettled(calls);
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
  const isWhole = typeof answer["placement"] === "string" && Array.isArray(answer["edges"]);
  return isPlaced && isWhole && hasIceServers(answer["iceServers"] ?? []);
}

/** A browser throws for an address that is none. */
function hasIceServers(servers: unknown): boolean {
  const isUrl = (url: unknown): boolean => typeof url === "string" && parseIceUrl(url) !== undefined;
  const isServer = (one: unknown): boolean => {
    if (!isRecord(one) || !Array.isArray(one["urls"]) || !one["urls"].every(isUrl)) return false;
    const isRelay = one["urls"].some((url: string) => url.startsWith("turn"));
    return !isRelay || (typeof one["username"] === "string" && typeof one["credential"] === "string");
  };
  return Array.isArray(servers) && servers.every(isServer);
}

function isWatch(answer: unknown): answer is SessionWatch {
  return isRecord(answer) && ["held", "ended", "lost"].some((state) => answer["state"] === state);
}

function isConnected(answer: unknown): answer is ConnectedSession {
  return (
    isRecord(answer) &&
    typeof answer["session"] === "string" &&
    isRecord(answer["renderClass"]) &&
    typeof answer["resume"] === "string"
  );
}
