/** A scheduler and an edge as the VR page sees them: exactly their contracts, each body checked, every call noted. */

import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { extname, join } from "node:path";
import type { TSchema } from "typebox";
import { Value } from "typebox/value";
import {
  type ConnectedSession,
  type ConnectSession,
  connectedSessionSchema,
  connectSessionSchema,
  createSessionSchema,
  endSessionSchema,
  placementAnswerSchema,
  qualityReportSchema,
  renewSessionSchema,
  type SessionWatch,
  sessionCandidatesSchema,
  sessionProbesSchema,
  sessionWatchSchema,
  steerAnswerSchema,
  ticketRequestSchema,
  watchSessionSchema,
} from "#contracts/operator-api/sessions.ts";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { verifyProof } from "#platform/identity/dpop.ts";
import { RENDER_CLASS, type TestAgent } from "./agents.ts";

const SESSION = "session-1";
/** Real edges wait longer; this one is closed with what waits. */
const WATCH_MS = 1_000;
const BUDGET = {
  budgetMs: 30,
  networkMsP95: 2,
  renderEncodeMsP95: 12,
  decodeJitterMs: 4,
  serialisationMs: 1,
  rttLimitMs: 13,
};
const PLACES = {
  pools: [
    { name: "near", region: "lisbon", latitude: 38.72, longitude: -9.14 },
    { name: "far", region: "warsaw", latitude: 52.23, longitude: 21.01 },
  ],
  here: { latitude: 40.42, longitude: -3.7 },
};
const MEDIA_TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".css": "text/css",
  ".js": "text/javascript",
  ".json": "application/json",
  ".map": "application/json",
};

export interface StubCall {
  readonly at: "scheduler" | "edge";
  readonly call: string;
  readonly body: unknown;
}

export interface StubServices extends AsyncDisposable {
  readonly pageUrl: string;
  /** In order of arrival. */
  readonly calls: readonly StubCall[];
  /** What broke a contract: the test wants none. */
  readonly faults: readonly string[];
}

interface Route {
  readonly pattern: RegExp;
  readonly method: "GET" | "POST" | "DELETE";
  readonly body?: TSchema;
  readonly answer?: TSchema;
  readonly run: (body: unknown) => unknown;
}

export interface StubFleet {
  /** A session goes to the first that lives. */
  readonly webrtc: readonly TestAgent[];
  readonly websocket: TestAgent;
}

/** `siteFolder` is the bundled page. */
export async function startStubServices(siteFolder: string, fleet: StubFleet): Promise<StubServices> {
  const calls: StubCall[] = [];
  const faults: string[] = [];
  const note = { calls, faults };
  let edgeUrl = "";
  let schedulerUrl = "";
  const scheduler = createServer((request, response) => {
    void serve({ at: "scheduler", routes: schedulerRoutes(edgeUrl), base: schedulerUrl, note }, request, response);
  });
  const edge = createServer((request, response) => {
    const path = new URL(request.url ?? "/", edgeUrl).pathname;
    if (path.startsWith("/.perigee/")) {
      void serve({ at: "edge", routes: edgeRoutes(fleet, edgeUrl), base: edgeUrl, note }, request, response);
    } else void serveSite(siteFolder, path, schedulerUrl, response);
  });
  edge.on("upgrade", ({ url = "", headers }: IncomingMessage, socket: Socket, head: Uint8Array) => {
    const handed = Object.entries(headers).flatMap(([name, value]) =>
      typeof value === "string" ? [[name, value]] : [],
    );
    fleet.websocket.session.hand(socket, { url, headers: Object.fromEntries(handed), head });
  });
  schedulerUrl = urlOf(await listen(scheduler, { host: "127.0.0.1", port: 0 }));
  edgeUrl = urlOf(await listen(edge, { host: "127.0.0.1", port: 0 }));
  return {
    pageUrl: `${edgeUrl}/`,
    calls,
    faults,
    async [Symbol.asyncDispose]() {
      // A socket that another process took counts as the server's for ever: its close is not waited for.
      edge.close();
      edge.closeAllConnections();
      await closeServer(scheduler);
    },
  };
}

function urlOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `http://${host}:${port}`;
}

function schedulerRoutes(edgeUrl: string): readonly Route[] {
  const placement = {
    state: "placed",
    decision: "d-test",
    placement: "placement-1",
    pool: "near",
    edges: [edgeUrl],
    budget: BUDGET,
  };
  const target = { node: "near-1", pool: "near", url: edgeUrl, token: "probe-token" };
  const edges = [{ node: "near-1", pool: "near", url: edgeUrl, rttMs: 1, source: "measured" }];
  const steering = { site: "vr", decision: "d-test", group: "test", edges, probes: [target] };
  return [
    { pattern: /^\/v1\/steer$/, method: "GET", answer: steerAnswerSchema, run: () => steering },
    {
      pattern: /^\/v1\/sessions$/,
      method: "POST",
      body: createSessionSchema,
      answer: sessionCandidatesSchema,
      run: () => ({ session: SESSION, candidates: [target], expiresAtMs: systemClock.nowMs() + 30_000 }),
    },
    {
      pattern: /^\/v1\/sessions\/[^/]+\/probes$/,
      method: "POST",
      body: sessionProbesSchema,
      answer: placementAnswerSchema,
      run: () => placement,
    },
    { pattern: /^\/v1\/sessions\/[^/]+\/renew$/, method: "POST", body: renewSessionSchema, run: () => undefined },
    { pattern: /^\/v1\/sessions\/[^/]+$/, method: "DELETE", body: endSessionSchema, run: () => undefined },
  ];
}

function edgeRoutes(fleet: StubFleet, edgeUrl: string): readonly Route[] {
  return [
    { pattern: /^\/\.perigee\/v1\/ping$/, method: "GET", run: () => undefined },
    { pattern: /^\/\.perigee\/v1\/probe$/, method: "GET", run: () => ({ answer: "signed" }) },
    {
      pattern: /^\/\.perigee\/v1\/sessions$/,
      method: "POST",
      body: connectSessionSchema,
      answer: connectedSessionSchema,
      run: (body) => (Value.Check(connectSessionSchema, body) ? grant(fleet, body, edgeUrl) : undefined),
    },
    {
      pattern: /^\/\.perigee\/v1\/sessions\/[^/]+\/ticket$/,
      method: "POST",
      body: ticketRequestSchema,
      run: () => ({ resume: "ticket-2" }),
    },
    {
      pattern: /^\/\.perigee\/v1\/sessions\/[^/]+\/reports$/,
      method: "POST",
      body: qualityReportSchema,
      run: () => undefined,
    },
    {
      pattern: /^\/\.perigee\/v1\/sessions\/[^/]+\/watch$/,
      method: "POST",
      body: watchSessionSchema,
      answer: sessionWatchSchema,
      run: () => watch(fleet),
    },
    { pattern: /^\/\.perigee\/v1\/sessions\/[^/]+$/, method: "DELETE", body: endSessionSchema, run: () => undefined },
  ];
}

/** The agent that the next session would go to is the one that has this one's. */
async function watch({ webrtc }: StubFleet): Promise<SessionWatch> {
  const holder = webrtc.find(({ isAlive }) => isAlive());
  const held: Promise<SessionWatch> = systemClock.sleep(WATCH_MS).then(() => ({ state: "held" }));
  if (holder === undefined) return held;
  return Promise.race([held, holder.session.ended.then((reason): SessionWatch => ({ state: "lost", reason }))]);
}

async function grant(
  { webrtc, websocket }: StubFleet,
  { transport, offerSdp = "" }: ConnectSession,
  edgeUrl: string,
): Promise<ConnectedSession | undefined> {
  const agent = transport === "websocket" ? websocket : webrtc.find((candidate) => candidate.isAlive());
  if (agent === undefined) return undefined;
  const media =
    transport === "websocket"
      ? { websocketUrl: `${edgeUrl.replace("http", "ws")}/media` }
      : { answerSdp: await agent.session.accept(offerSdp) };
  return {
    session: SESSION,
    attempt: 1,
    agent: agent.name,
    fence: { incarnation: "test", counter: 1 },
    ...media,
    renderClass: RENDER_CLASS,
    resume: "ticket-1",
    reportEverySeconds: 1,
  };
}

interface Served {
  readonly at: StubCall["at"];
  readonly routes: readonly Route[];
  readonly base: string;
  readonly note: { readonly calls: StubCall[]; readonly faults: string[] };
}

async function serve(served: Served, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { at, routes, base, note } = served;
  response.setHeader("access-control-allow-origin", "*");
  response.setHeader("timing-allow-origin", "*");
  response.setHeader("access-control-allow-headers", "authorization, content-type");
  response.setHeader("access-control-allow-methods", "GET, POST, DELETE");
  if (request.method === "OPTIONS") return void response.writeHead(204).end();
  const path = new URL(request.url ?? "/", base).pathname;
  const route = routes.find(({ pattern, method }) => method === request.method && pattern.test(path));
  const call = `${request.method} ${path}`;
  if (route === undefined) return void response.writeHead(404).end();
  const body = await readJson(request);
  note.calls.push({ at, call, body });
  const fault = await faultOf(route, body, { method: route.method, url: `${base}${path}` });
  if (fault !== undefined) note.faults.push(`${at} ${call}: ${fault}`);
  const answer = await route.run(body);
  if (route.answer !== undefined && !Value.Check(route.answer, answer))
    note.faults.push(`${at} ${call}: stub's answer`);
  if (answer === undefined) return void response.writeHead(204).end();
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
}

async function faultOf(
  { body: schema }: Route,
  body: unknown,
  call: { readonly method: string; readonly url: string },
): Promise<string | undefined> {
  if (schema === undefined) return undefined;
  const [error] = Value.Errors(schema, body);
  if (error !== undefined) return `${error.instancePath} ${error.message}`;
  if (typeof body !== "object" || body === null || !("proof" in body)) return undefined;
  const expected = { method: call.method, urls: [call.url], nowMs: systemClock.nowMs() };
  return verifyProof(String(body.proof), expected).then(
    () => undefined,
    (cause: unknown) => String(cause),
  );
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  const text = Buffer.concat(chunks).toString();
  return text === "" ? undefined : JSON.parse(text);
}

async function serveSite(folder: string, path: string, scheduler: string, response: ServerResponse): Promise<void> {
  const name = path === "/" ? "index.html" : path.slice(1);
  const session = { scheduler, app: "hall", appToken: "app-token", tier: "strict", site: "vr" };
  const config = JSON.stringify({ ...session, places: PLACES });
  const bytes =
    name === "config.json" ? Buffer.from(config) : await readFile(join(folder, name)).catch(() => undefined);
  if (bytes === undefined) return void response.writeHead(404).end();
  response.writeHead(200, { "content-type": MEDIA_TYPES[extname(name)] ?? "application/octet-stream" }).end(bytes);
}
