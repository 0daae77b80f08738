/** An origin as its own process, on a log in etcd: started, killed, started again on the same folder and ports. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { systemClock } from "#platform/clock.ts";
import { ownLoopback } from "#test/etcd/loopback.ts";

const ROOT = join(import.meta.dirname, "..", "..", "..");
const PORTS = { operatorApi: 7400, nodeRpc: 7401, enrolment: 7402, delivery: 7403, admin: 7409 };
const READY_MS_MAX = 60_000;
const LOOK_MS = 25;

export interface OriginPlace {
  readonly name: string;
  readonly dataDir: string;
  readonly endpoints: readonly string[];
}

export class OriginProcess {
  readonly name: string;
  readonly #words: readonly string[];
  readonly #output: string;
  readonly api: string;
  readonly #admin: string;
  #child: ChildProcess | undefined;

  constructor({ name, dataDir, endpoints }: OriginPlace) {
    const host = ownLoopback();
    const listen = Object.entries(PORTS).map(([listener, port]) => [`listen.${listener}`, `${host}:${port}`]);
    const settings = {
      dataDir,
      firstTokenFile: join(dataDir, "first-token"),
      "log.etcd.endpoints": JSON.stringify(endpoints),
      // Everything is looked at in the end.
      logRevisionsKept: 1_000_000,
      logLevel: "warn",
      ...Object.fromEntries(listen),
    };
    this.name = name;
    this.#words = Object.entries(settings).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
    this.api = `http://${host}:${PORTS.operatorApi}`;
    this.#admin = `http://${host}:${PORTS.admin}`;
    this.#output = `${dataDir}.log`;
  }

  /** It has ended by itself: what happened stands in its output. */
  get hasBroken(): boolean {
    return this.#child !== undefined && this.#child.exitCode !== null;
  }

  start(): void {
    const child = spawn(process.execPath, [join(ROOT, "origin", "main.ts"), ...this.#words], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const output = createWriteStream(this.#output, { flags: "a" });
    child.stdout.pipe(output, { end: false });
    child.stderr.pipe(output);
    this.#child = child;
  }

  async ready(): Promise<void> {
    const signal = systemClock.deadline(READY_MS_MAX);
    while (!(await this.#isReady(signal))) {
      if (this.hasBroken) throw new Error(`origin ${this.name} has ended: see ${this.#output}`);
      await systemClock.sleep(LOOK_MS, signal);
    }
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  async #isReady(signal: AbortSignal): Promise<boolean> {
    try {
      return (await fetch(`${this.#admin}/readyz`, { signal })).ok;
    } catch {
      return false;
    }
  }
}
