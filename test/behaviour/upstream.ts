/** A scriptable origin server for the behaviour suite: what it does at each path is the test's, what it saw is counted. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Test } from "tap";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The how manieth at this path, from 1. */
  readonly turn: number;
  /** The how manieth on this connection, from 1. */
  readonly turnOfConnection: number;
}

export type Script = (exchange: Exchange) => void | Promise<void>;

export class Upstream {
  readonly #t: Test;
  readonly #server: Server;
  readonly #scripts = new Map<string, Script>();
  readonly #received = new Map<string, IncomingMessage[]>();
  readonly #turnsOf = new WeakMap<Socket, number>();
  #port = 0;
  connections = 0;

  constructor(t: Test) {
    this.#t = t;
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#server.on("connection", () => {
      this.connections += 1;
    });
    t.teardown(() => this.close());
  }

  get port(): number {
    return this.#port;
  }

  async open(): Promise<void> {
    this.#port = (await listen(this.#server, { ...LOCAL, port: this.#port })).port;
  }

  /** From now on nobody listens at its port; what was open is cut. */
  close(): Promise<void> {
    return closeServer(this.#server);
  }

  /** What is asked for by this path and query. */
  on(target: string, script: Script): void {
    this.#scripts.set(target, script);
  }

  /** All requests for this path and query, of any method. */
  received(target: string): readonly IncomingMessage[] {
    return this.#received.get(target) ?? [];
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = request.url ?? "";
    const before = this.#received.get(target) ?? [];
    this.#received.set(target, [...before, request]);
    const turnOfConnection = (this.#turnsOf.get(request.socket) ?? 0) + 1;
    this.#turnsOf.set(request.socket, turnOfConnection);
    // Those that a test cuts have nothing to say.
    request.on("error", () => {});
    response.on("error", () => {});
    const script = this.#scripts.get(target) ?? notFound;
    try {
      await script({ request, response, turn: before.length + 1, turnOfConnection });
    } catch (error) {
      this.#t.fail(`the upstream's script for ${target} threw ${error}`);
      response.destroy();
    }
  }
}

function notFound({ response }: Exchange): void {
  response.writeHead(404, { "cache-control": "no-store" }).end();
}

/** Answers 200 with these fields and this body. */
export function say(body: string | Buffer, fields: Readonly<Record<string, string | readonly string[]>> = {}): Script {
  return ({ response }) => {
    for (const [name, value] of Object.entries(fields)) response.setHeader(name, value);
    response.setHeader("content-length", Buffer.byteLength(body));
    response.end(response.req.method === "HEAD" ? undefined : body);
  };
}

/** The head at once, the body after a while. */
export function holdBody(ms: number, cacheControl: string): Script {
  return async ({ response }) => {
    response.writeHead(200, { "cache-control": cacheControl }).write("first ");
    await systemClock.sleep(ms);
    response.end("last");
  };
}

interface Ranged {
  readonly body: Buffer;
  readonly fields: Readonly<Record<string, string>>;
  /** Counts what is sent of the body. */
  readonly moved: { bytes: number };
}

/** Answers a single range with its part (RFC 9110 section 14.2), anything else with the whole. */
export function rangesOf({ body, fields, moved }: Ranged): Script {
  return ({ request, response }) => {
    const [, from = "", to = ""] = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    const isWhole = from === "" && to === "";
    const start = isWhole ? 0 : from === "" ? Math.max(0, body.byteLength - Number(to)) : Number(from);
    const end = Math.min(body.byteLength, from === "" || to === "" ? body.byteLength : Number(to) + 1);
    if (start >= body.byteLength) {
      response.writeHead(416, { "content-range": `bytes */${body.byteLength}` }).end();
      return;
    }
    const part = body.subarray(start, end);
    if (request.method !== "HEAD") moved.bytes += part.byteLength;
    const where = isWhole ? {} : { "content-range": `bytes ${start}-${end - 1}/${body.byteLength}` };
    response.writeHead(isWhole ? 200 : 206, { ...fields, ...where, "content-length": part.byteLength });
    response.end(request.method === "HEAD" ? undefined : part);
  };
}
