/** Real members of etcd on loopback, each a process that a test may kill and start again on its folder. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { freePort } from "../free-ports.ts";
import { ownLoopback } from "./loopback.ts";

const READY_MS_MAX = 30_000;
const CLIENT_PORT = 2379;
const PEER_PORT = 2380;

/** Why there is none here; `undefined`: there is. */
export function etcdIsMissing(): string | undefined {
  const { error, status } = spawnSync("etcd", ["--version"]);
  return error === undefined && status === 0 ? undefined : "etcd is not installed (Debian: etcd-server)";
}

interface Place {
  readonly name: string;
  readonly host: string;
}

/** Files; clients have to have a certificate of the same authority. */
export interface EtcdTls {
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

/** One member that speaks TLS, as a process that is not there yet when this returns: who opens a log waits for it. */
export async function startEtcdOverTls(
  folder: string,
  { authority, certificate, key }: EtcdTls,
): Promise<AsyncDisposable & { readonly endpoint: string }> {
  const port = await freePort();
  const endpoint = `https://localhost:${port}`;
  const child = spawn(
    "etcd",
    [
      ...["--data-dir", folder, "--listen-client-urls", endpoint.replace("localhost", "127.0.0.1")],
      ...["--advertise-client-urls", endpoint, "--listen-peer-urls", `http://${ownLoopback()}:${PEER_PORT}`],
      ...["--cert-file", certificate, "--key-file", key, "--trusted-ca-file", authority, "--client-cert-auth"],
    ],
    { stdio: "ignore" },
  );
  return { endpoint, [Symbol.asyncDispose]: () => killed(child) };
}

async function killed(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit");
  // As the power going: nothing is flushed.
  child.kill("SIGKILL");
  await ended;
}

export class EtcdCluster implements AsyncDisposable {
  readonly #folder: string;
  readonly #places: readonly Place[];
  readonly #running = new Map<number, ChildProcess>();

  /** Of as many members, empty. */
  static async start(folder: string, members: number): Promise<EtcdCluster> {
    const places = Array.from({ length: members }, (_, index) => ({ name: `m${index}`, host: ownLoopback() }));
    const cluster = new EtcdCluster(folder, places);
    for (const index of places.keys()) cluster.startMember(index);
    await cluster.ready();
    return cluster;
  }

  private constructor(folder: string, places: readonly Place[]) {
    this.#folder = folder;
    this.#places = places;
  }

  get endpoints(): readonly string[] {
    return this.#places.map(({ host }) => `http://${host}:${CLIENT_PORT}`);
  }

  startMember(index: number): void {
    const place = this.#places[index];
    if (place === undefined || this.#running.has(index)) return;
    const [client, peer] = [`http://${place.host}:${CLIENT_PORT}`, `http://${place.host}:${PEER_PORT}`];
    const cluster = this.#places.map(({ name, host }) => `${name}=http://${host}:${PEER_PORT}`).join();
    const child = spawn(
      "etcd",
      [
        ...["--name", place.name, "--data-dir", join(this.#folder, place.name)],
        ...["--listen-client-urls", client, "--advertise-client-urls", client],
        ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
        ...["--initial-cluster", cluster, "--initial-cluster-state", "new", "--log-level", "error"],
      ],
      { stdio: "ignore" },
    );
    this.#running.set(index, child);
  }

  async killMember(index: number): Promise<void> {
    const child = this.#running.get(index);
    if (child === undefined) return;
    this.#running.delete(index);
    await killed(child);
  }

  /** Resolves when every member that runs says that it is healthy. */
  async ready(): Promise<void> {
    const signal = AbortSignal.timeout(READY_MS_MAX);
    for (const index of this.#running.keys()) {
      while (!(await isHealthy(this.endpoints[index] ?? "", signal))) {
        if (this.#running.get(index)?.exitCode !== null) throw new Error(`etcd ${index} has ended`);
        signal.throwIfAborted();
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const index of [...this.#running.keys()]) await this.killMember(index);
  }
}

async function isHealthy(endpoint: string, signal: AbortSignal): Promise<boolean> {
  try {
    const response = await fetch(`${endpoint}/health`, { signal });
    return (await response.text()).includes('"true"');
  } catch {
    return false;
  }
}
