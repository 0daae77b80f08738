/** An edge of several processes, as an operator starts it, and connections to each of them. */

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import type { Test } from "tap";
import { closeServer, listen } from "#platform/http/listening.ts";
import { startEdge } from "#test/behaviour/edge-process.ts";
import { openRaw, type RawConnection } from "#test/front/raw-connection.ts";
import { until } from "#test/simulation/until.ts";

/** The system gives each connection to any process: so many without one to that which is wanted are a fault. */
const TRIES_MAX = 2_000;

export interface SeveralProcesses {
  readonly port: number;
  /** Where TLS is spoken, if it is. */
  readonly tlsPort: number | undefined;
  readonly main: number;
  /** Front processes that there are now. */
  fronts(): readonly number[];
  /** A connection that this process has accepted. */
  openAt(pid: number, port?: number): Promise<RawConnection>;
  metric(name: string): Promise<number>;
  /** Asks there until a front process has answered of a copy. */
  untilCopied(connection: RawConnection, target: string): Promise<void>;
  stop(): Promise<void>;
}

const ADMIN = "127.0.0.1:0";

async function startProcesses(
  t: Test,
  { upstreamPort, count = 3, flags = [] }: { upstreamPort: number; count?: number; flags?: readonly string[] },
): Promise<SeveralProcesses> {
  const more = ["--processes", String(count), "--admin", ADMIN, ...flags];
  const edge = await startEdge({ upstreamPort, flags: more });
  t.teardown(() => edge[Symbol.asyncDispose]());
  const others = listeningPorts(edge.pid).filter((port) => port !== edge.port);
  const answering = await Promise.all(
    others.map((port) => fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined)),
  );
  const adminPort = others.find((_, index) => answering[index]?.ok);
  const metric = async (name: string) => {
    const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
    const lines = text.split("\n").filter((line) => line.startsWith(`perigee_edge_node_${name}`));
    return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  };
  return {
    port: edge.port,
    tlsPort: others.find((port) => port !== adminPort),
    main: edge.pid,
    fronts: () => childrenOf(edge.pid),
    openAt: (pid, port = edge.port) => openAt(pid, port),
    metric,
    untilCopied: (connection, target) =>
      untilCopied(
        () => get(connection, target),
        () => metric("front_hits_total"),
      ),
    async stop() {
      await edge[Symbol.asyncDispose]();
    },
  };
}

export interface ServedBy {
  readonly count?: number;
  readonly flags?: readonly string[];
}

/** Processes in front of an upstream, which notes what it is asked for; connections are ended with the test. */
export async function startBefore(t: Test, answer: RequestListener, { count = 3, flags = [] }: ServedBy = {}) {
  const asked: string[] = [];
  const upstream = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.sendDate = false;
    answer(request, response);
  });
  const { port } = await listen(upstream, { host: "127.0.0.1", port: 0 });
  t.teardown(() => closeServer(upstream));
  const edge = await startProcesses(t, { upstreamPort: port, count, flags });
  const open = async (pid: number) => {
    const connection = await edge.openAt(pid);
    t.teardown(() => connection[Symbol.dispose]());
    return connection;
  };
  return { edge, asked, open };
}

export const STORED = { "cache-control": "max-age=3600", etag: '"one"' };

/** Only what begins with /stored may be stored. */
export async function answerByPath(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method, url = "" } = request;
  const content = await buffer(request);
  const isStored = method === "GET" && url.startsWith("/stored");
  const body = url.startsWith("/large") ? Buffer.alloc(8_000_000, "large ") : `${method} ${url} ${content}`;
  response.writeHead(200, isStored ? STORED : { "cache-control": "no-store" }).end(body);
}

/** Asks until a front process has answered of a copy. */
export async function untilCopied(ask: () => Promise<unknown>, frontHits: () => Promise<number>): Promise<void> {
  const before = await frontHits();
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    await ask();
    if ((await frontHits()) > before) return;
  }
  throw new Error("no copy answers");
}

export async function get(connection: RawConnection, target: string, ...lines: readonly string[]): Promise<string> {
  connection.write([`GET ${target} HTTP/1.1`, "Host: edge", ...lines, "", ""].join("\r\n"));
  return (await connection.answer()).toString("latin1");
}

export function childrenOf(pid: number): readonly number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
}

export function isRunning(pid: number): boolean {
  return readdirSync("/proc").includes(String(pid));
}

export async function openAt(pid: number, port: number): Promise<RawConnection> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const connection = await openRaw(port);
    const { localPort = 0 } = connection.socket;
    let inode = "0";
    await until(() => {
      inode = inodeOf({ local: port, remote: localPort });
      return inode !== "0";
    }, "the connection is accepted");
    if (socketsOf(pid).has(inode)) return connection;
    connection[Symbol.dispose]();
  }
  throw new Error(`process ${pid} accepts nothing at port ${port}`);
}

/** Of an established connection as its server has it; 0 before it is accepted. */
function inodeOf({ local, remote }: { readonly local: number; readonly remote: number }): string {
  const found = socketRows().find((row) => row.local === local && row.remote === remote);
  return found?.inode ?? "0";
}

interface SocketRow {
  readonly local: number;
  readonly remote: number;
  readonly inode: string;
  readonly isListening: boolean;
}

/** proc_net_tcp(5). */
function socketRows(): readonly SocketRow[] {
  const lines = readFileSync("/proc/net/tcp", "utf8").trim().split("\n").slice(1);
  return lines.map((line) => {
    const [, local = "", remote = "", state, , , , , , inode = "0"] = line.trim().split(/\s+/);
    const portOf = (address: string) => Number.parseInt(address.split(":")[1] ?? "", 16);
    return { local: portOf(local), remote: portOf(remote), inode, isListening: state === "0A" };
  });
}

function listeningPorts(pid: number): readonly number[] {
  const own = socketsOf(pid);
  return socketRows()
    .filter(({ isListening, inode }) => isListening && own.has(inode))
    .map(({ local }) => local);
}

/** Inodes. */
function socketsOf(pid: number): ReadonlySet<string> {
  const folder = `/proc/${pid}/fd`;
  const links = readdirSync(folder).map((name) => {
    try {
      return readlinkSync(`${folder}/${name}`);
    } catch {
      return "closed meanwhile";
    }
  });
  return new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []));
}
