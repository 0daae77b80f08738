/** A real Redis on loopback, empty and without a disk, which a test may kill and start again. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { ownLoopback } from "../etcd/loopback.ts";
import type { TestPair } from "../tls/certificates.ts";

const READY_MS_MAX = 10_000;
const PORT = 6379;

/** Why there is none here; `undefined`: there is. */
export function redisIsMissing(): string | undefined {
  const { error, status } = spawnSync("redis-server", ["--version"]);
  return error === undefined && status === 0 ? undefined : "redis-server is not installed (Debian: redis-server)";
}

export interface RedisServerOptions {
  /** It runs in it, and leaves nothing there but its certificate. */
  readonly folder: string;
  readonly password?: string;
  /** Of names or addresses, for TLS and nothing else. */
  readonly issue?: (names: readonly string[]) => Promise<TestPair>;
  /** Words before the program's own, as `taskset -c 0`. */
  readonly under?: readonly string[];
}

export class RedisServer implements AsyncDisposable {
  readonly host = ownLoopback();
  readonly port = PORT;
  readonly #options: RedisServerOptions;
  #child: ChildProcess | undefined;

  static async start(options: RedisServerOptions): Promise<RedisServer> {
    const server = new RedisServer(options);
    await server.start();
    return server;
  }

  private constructor(options: RedisServerOptions) {
    this.#options = options;
  }

  get url(): string {
    return `${this.#options.issue === undefined ? "redis" : "rediss"}://${this.host}:${this.port}`;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Empty, as it is after any start. */
  async start(): Promise<void> {
    const { folder, password, under = [] } = this.#options;
    const words = [
      ...["--bind", this.host, "--dir", folder, "--save", "", "--appendonly", "no", ...(await this.#listening())],
      ...(password === undefined ? ["--protected-mode", "no"] : ["--requirepass", password]),
    ];
    const [program = "redis-server", ...first] = [...under, "redis-server"];
    const child = spawn(program, [...first, ...words], { stdio: "ignore" });
    this.#child = child;
    const signal = AbortSignal.timeout(READY_MS_MAX);
    while (!(await isListening(this.host, this.port))) {
      if (child.exitCode !== null) throw new Error("redis-server has ended");
      signal.throwIfAborted();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async #listening(): Promise<string[]> {
    const { folder, issue } = this.#options;
    if (issue === undefined) return ["--port", `${this.port}`];
    const { certificatePem, keyPem } = await issue([this.host]);
    const [certificate, key] = [join(folder, "redis.pem"), join(folder, "redis-key.pem")];
    await Promise.all([writeFile(certificate, certificatePem), writeFile(key, keyPem)]);
    const files = ["--tls-cert-file", certificate, "--tls-key-file", key];
    return ["--port", "0", "--tls-port", `${this.port}`, "--tls-auth-clients", "no", ...files];
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

function isListening(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}
