/** Whole edges for a benchmark: several to a process, or one in a process of its own that can be killed. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { type Running, startProcess } from "#test/bench/processes.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const START_MS_MAX = 300_000;

const hostedEdgeSchema = Type.Object({ name: Type.String(), content: Type.String(), admin: Type.String() });
/** `host:port` of its listeners. */
export type HostedEdge = Static<typeof hostedEdgeSchema>;
const hostedSchema = Type.Array(hostedEdgeSchema);

export interface Hosts extends AsyncDisposable {
  readonly edges: readonly HostedEdge[];
  readonly pids: readonly number[];
}

export async function startHosts(configFiles: readonly string[], processes: number): Promise<Hosts> {
  const shares = Array.from({ length: processes }, (_, part) => configFiles.filter((_, at) => at % processes === part));
  const children = shares
    .filter((files) => files.length > 0)
    .map((files) => fork(join(import.meta.dirname, "edge-host.ts"), [...files]));
  const stop = async (): Promise<void> => {
    await Promise.all(children.map(end));
  };
  try {
    const edges = (await Promise.all(children.map(startedIn))).flat();
    return { edges, pids: children.flatMap(({ pid }) => pid ?? []), [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startedIn(child: ChildProcess): Promise<readonly HostedEdge[]> {
  const signal = AbortSignal.timeout(START_MS_MAX);
  const gone = once(child, "exit", { signal }).then(() => Promise.reject(new Error("a process of edges has ended")));
  const [message] = await Promise.race([once(child, "message", { signal }), gone]);
  gone.catch(() => undefined);
  return Value.Parse(hostedSchema, message);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  if (child.connected) child.disconnect();
  else child.kill("SIGTERM");
  await ended;
}

/** `node edge-node/main.ts`, as it is run alone. */
export async function startAlone(name: string, configFile: string): Promise<Running & HostedEdge> {
  const running = await startProcess({
    command: process.execPath,
    words: [join(ROOT, "edge-node", "main.ts"), "--config", configFile],
    ready: /"addresses":\{[^}]*"content":"([^"]+)"[^}]*"admin":"([^"]+)".*edge-node listening/,
  });
  const [, content = "", admin = ""] = running.said;
  return { ...running, name, content, admin };
}

/** Whether the edge whose folder this is has the whole blob, verified. */
export function hasBlob(dataDir: string, digest: string): boolean {
  return existsSync(blobPath(dataDir, digest));
}

export function blobPath(dataDir: string, digest: string): string {
  return join(dataDir, "objects", digest.slice(0, 2), digest);
}
