/** A scheduler and an edge in one listener, as short as a session needs them, before a real render-agent; and the page. */
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { Value } from "typebox/value";
import { type ConnectedSession, type ConnectSession, connectSessionSchema } from "#contracts/operator-api/sessions.ts";
import type { RenderClass } from "#domain/session/render-app.ts";
import { type Address, formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { type FakeEdge, POOL, type PoolWorld } from "#test/render-agent/pool-world.ts";

const LOCAL: Address = { host: "127.0.0.1", port: 0 };
export const APP = "bench";
const CANDIDATES_MS = 30_000;
const PREFLIGHT_SECONDS = 600;
const BODY_BYTES_MAX = 1_000_000;
const BUDGET = {
  ...{ budgetMs: 30, networkMsP95: 2, renderEncodeMsP95: 12, decodeJitterMs: 4, serialisationMs: 1 },
  rttLimitMs: 13,
};

export interface Refusal {
  readonly code: string;
  readonly message: string;
}

export interface Services extends AsyncDisposable {
  /** Scheduler and edge, without a link. */
  readonly api: Address;
  readonly pageUrl: string;
  /** Sessions that the agent said no to, in order. */
  readonly refusals: readonly Refusal[];
}

export interface ServicesOptions {
  readonly world: PoolWorld;
  readonly edge: FakeEdge;
  readonly renderClass: RenderClass;
  /** Has page.js. */
  readonly siteFolder: string;
}

export async function startServices(options: ServicesOptions): Promise<Services> {
  const refusals: Refusal[] = [];
  const calls = new Calls(options, refusals);
  const api = createServer((request, response) => {
    calls.answer(request).then(
      (answer) => respond(response, answer),
      (error: unknown) => respond(response, { status: 500, body: { code: "bug", detail: String(error) } }),
    );
  });
  const site = createServer((request, response) => void serveSite(options.siteFolder, request.url ?? "/", response));
  const [address, { host, port }] = await Promise.all([listen(api, LOCAL), listen(site, LOCAL)]);
  return {
    api: address,
    pageUrl: `http://${host}:${port}/`,
    refusals,
    async [Symbol.asyncDispose]() {
      await Promise.all([closeServer(api), closeServer(site)]);
    },
  };
}

interface Answer {
  readonly status: number;
  readonly body?: unknown;
}

class Calls {
  readonly #options: ServicesOptions;
  readonly #refusals: Refusal[];
  #sessions = 0;

  constructor(options: ServicesOptions, refusals: Refusal[]) {
    this.#options = options;
    this.#refusals = refusals;
  }

  async answer(request: IncomingMessage): Promise<Answer> {
    const { method, headers, url: path = "/" } = request;
    if (method === "OPTIONS") return { status: 204 };
    // Where the page reached this: with a link, the link's end.
    const self = `http://${headers.host}`;
    const call = `${method} ${path.split("?")[0]}`;
    const placed = /^POST \/v1\/sessions\/([^/]+)\/probes$/.exec(call);
    if (placed !== null) return { status: 200, body: await this.#place(placed[1] ?? "", self) };
    switch (call) {
      case "POST /v1/sessions":
        return { status: 200, body: this.#create(self) };
      case "GET /.perigee/v1/probe":
        return { status: 200, body: { answer: "signed" } };
      case "POST /.perigee/v1/sessions":
        return this.#connect(await readJson(request));
      default:
        return { status: 204 };
    }
  }

  #create(self: string) {
    this.#sessions += 1;
    const target = { node: "near-1", pool: POOL, url: self, token: "probe-token" };
    const expiresAtMs = systemClock.nowMs() + CANDIDATES_MS;
    return { session: `session-${this.#sessions}`, candidates: [target], expiresAtMs };
  }

  async #place(session: string, self: string) {
    const { world, renderClass } = this.#options;
    const claims = { session, app: APP, renderClass: renderClass.name, budget: BUDGET };
    const placement = await world.placement(claims);
    return { state: "placed", decision: "d-bench", placement, pool: POOL, edges: [self], budget: BUDGET };
  }

  async #connect(body: unknown): Promise<Answer> {
    if (!Value.Check(connectSessionSchema, body)) return { status: 400, body: { code: "argument-invalid" } };
    const answer = await this.#options.edge.askAgain(leaseWish(body));
    if (!answer.granted) {
      const { code, message } = answer;
      this.#refusals.push({ code, message });
      return { status: 409, body: { code, detail: message } };
    }
    const connected: ConnectedSession = {
      session: answer.session,
      attempt: answer.attempt,
      agent: "gpu-1",
      fence: { incarnation: answer.fence?.incarnation ?? "", counter: Number(answer.fence?.counter ?? 0) },
      answerSdp: answer.answerSdp,
      renderClass: this.#options.renderClass,
      resume: "ticket",
      reportEverySeconds: 1,
    };
    return { status: 200, body: connected };
  }
}

function leaseWish({ placement = "", transport, offerSdp = "" }: ConnectSession) {
  return { grant: placement, transport, offerSdp };
}

function respond(response: ServerResponse, { status, body }: Answer): void {
  const headers = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": "authorization, content-type",
    "access-control-allow-methods": "GET, POST, DELETE",
    "access-control-max-age": String(PREFLIGHT_SECONDS),
    "timing-allow-origin": "*",
    "content-type": "application/json",
  };
  response.writeHead(status, headers).end(body === undefined ? undefined : JSON.stringify(body));
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    const part = Buffer.from(chunk);
    bytes += part.byteLength;
    if (bytes > BODY_BYTES_MAX) throw new RangeError(`a body of more than ${BODY_BYTES_MAX} bytes`);
    chunks.push(part);
  }
  return JSON.parse(Buffer.concat(chunks).toString());
}

const PAGE = `<!doctype html><html lang="en"><title>bench</title>
<style>body { margin: 0 } canvas { display: block }</style>
<body><script type="module" src="/page.js"></script></body></html>`;

async function serveSite(folder: string, path: string, response: ServerResponse): Promise<void> {
  if (path === "/") response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
  else if (path !== "/page.js") response.writeHead(404).end();
  else response.writeHead(200, { "content-type": "text/javascript" }).end(await readFile(join(folder, "page.js")));
}

export function urlOf(address: Address): string {
  return `http://${formatAddress(address)}`;
}
