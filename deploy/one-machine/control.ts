/** Lets a command line beside it steer a running one-machine start: programs stopped and started, pools cut off and restored. */
import { rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import Type, { type Static } from "typebox";
import { Failure, isFailure } from "#domain/failure.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { problemOf } from "#platform/http/problem.ts";
import type { Random } from "#platform/random.ts";
import type { Links } from "./links.ts";
import { answerPage, isBearer, type PageControl } from "./page-control.ts";
import { PROGRAM_STATES, type SupervisedProgram } from "./supervised.ts";

const HOST = "127.0.0.1";
/** 256 bits: other accounts of the machine, and pages in its browsers, reach the port but cannot guess it. */
const TOKEN_BYTES = 32;

export const MACHINE_ACTIONS = ["stop", "kill", "start", "cut", "restore"] as const;
export type MachineAction = (typeof MACHINE_ACTIONS)[number];

const closed = { additionalProperties: false };

/** `GET /`, and the answer to `POST /ACTION/NAME`. */
export const machineStatusSchema = Type.Object(
  {
    programs: Type.Array(
      Type.Object(
        { name: Type.String(), state: Type.Enum([...PROGRAM_STATES]), pid: Type.Optional(Type.Integer()) },
        closed,
      ),
    ),
    pools: Type.Array(Type.Object({ name: Type.String(), rttMs: Type.Number(), isCut: Type.Boolean() }, closed)),
  },
  closed,
);
export type MachineStatus = Static<typeof machineStatusSchema>;

/** In the data folder, for its owner alone: where to ask, and with what token. */
export const controlFileSchema = Type.Object({ url: Type.String(), token: Type.String() }, closed);

export interface ControlParts {
  readonly port: number;
  readonly file: string;
  readonly programs: readonly SupervisedProgram[];
  /** Of `programs`, by name: what a page may kill. */
  readonly killable: readonly string[];
  readonly links: Links;
  readonly random: Random;
  /** Ends a start that is under way. */
  readonly signal: AbortSignal;
}

export interface Control extends AsyncDisposable {
  /** Added to the VR page's address it gives the page what it may ask; no server is sent it (RFC 3986 section 3.5). */
  readonly pageFragment: string;
}

export async function startControl(parts: ControlParts): Promise<Control> {
  const newToken = () => Buffer.from(parts.random.bytes(TOKEN_BYTES)).toString("base64url");
  const token = newToken();
  const page: PageControl = { token: newToken(), programs: parts.programs, killable: parts.killable };
  const server = createServer((request, response) => {
    if (!answerPage(page, request, response)) void answer(parts, token, request, response);
  });
  const { port } = await listen(server, { host: HOST, port: parts.port });
  writeFileSync(parts.file, `${JSON.stringify({ url: `http://${HOST}:${port}`, token })}\n`, { mode: 0o600 });
  return {
    pageFragment: `#machine=${port}.${page.token}`,
    async [Symbol.asyncDispose]() {
      rmSync(parts.file, { force: true });
      await closeServer(server);
    },
  };
}

async function answer(
  parts: ControlParts,
  token: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  request.resume();
  try {
    if (!isBearer(request.headers.authorization, token)) {
      throw new Failure("token-invalid", "the token in the data folder's control.json is asked for");
    }
    await act(parts, request.method ?? "", request.url ?? "");
    send(response, 200, statusOf(parts));
  } catch (error) {
    if (!isFailure(error)) throw error;
    const problem = problemOf(error);
    send(response, problem.status, problem);
  }
}

async function act({ programs, links, signal }: ControlParts, method: string, path: string): Promise<void> {
  if (method === "GET" && path === "/") return;
  const [, actionText, name = ""] = path.split("/");
  const action = MACHINE_ACTIONS.find((known) => known === actionText);
  if (method !== "POST" || action === undefined) throw new Failure("not-found", `there is no ${method} ${path}`);
  switch (action) {
    case "cut":
      return links.cut(name);
    case "restore":
      return links.restore(name);
    case "stop":
      return await programOf(programs, name).stop("in-order");
    case "kill":
      return await programOf(programs, name).stop("at-once");
    case "start":
      return await programOf(programs, name).start(signal);
  }
}

function programOf(programs: readonly SupervisedProgram[], wanted: string): SupervisedProgram {
  const found = programs.find(({ name }) => name === wanted);
  if (found !== undefined) return found;
  const names = programs.map(({ name }) => name).join(", ");
  throw new Failure("not-found", `there is no program ${wanted}: there are ${names}`);
}

function statusOf({ programs, links }: ControlParts): MachineStatus {
  return {
    programs: programs.map(({ name, state, pid }) => ({ name, state, ...(pid === undefined ? {} : { pid }) })),
    pools: links.pools().map((pool) => ({ ...pool })),
  };
}

function send(response: ServerResponse, status: number, body: object): void {
  response
    .writeHead(status, { "content-type": "application/json", "cache-control": "no-store" })
    .end(JSON.stringify(body));
}
