/** `perigee dev` for one run: free ports, a temporary folder, and its cloud (origin and scheduler) frozen and thawed. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const FIRST_PORT = 7400;
/** `perigee dev` uses ports from the first one up to this many further. */
const PORT_SPAN = 200;
const OFFSET_MIN = 1_000;
/** Above are the ports of tests, and above these those of connections that go out. */
const OFFSET_MAX = 2_400;
const OFFSET_ATTEMPTS_MAX = 50;
const SCHEDULER_PORT = 7410;
const START_MS_MAX = 180_000;
/** Longer than `perigee dev` gives its programs for their ordered stop. */
const STOP_MS_MAX = 40_000;

export interface OneMachine extends AsyncDisposable {
  readonly scheduler: string;
  readonly contextFile: string;
  /** Frozen, not killed: `perigee dev` starts again what ends, and silence is the harder case for those who wait. */
  freezeCloud(): void;
  thawCloud(): void;
}

export async function startOneMachine(root: string, say: (line: string) => void): Promise<OneMachine> {
  const data = mkdtempSync(join(tmpdir(), "perigee-loadtest-"));
  const offset = await freeOffset();
  say(`starting perigee dev at port offset ${offset}, data in ${data}`);
  const words = [join(root, "cli", "main.ts"), "dev", "--data", data, "--port-offset", String(offset)];
  const child = spawn(process.execPath, words, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  let frozen: readonly number[] = [];
  const thawCloud = (): void => {
    for (const pid of frozen) process.kill(pid, "SIGCONT");
    frozen = [];
  };
  const machine: OneMachine = {
    scheduler: `http://127.0.0.1:${SCHEDULER_PORT + offset}`,
    contextFile: join(data, "context.yaml"),
    freezeCloud() {
      frozen = cloudOf(data);
      for (const pid of frozen) process.kill(pid, "SIGSTOP");
    },
    thawCloud,
    async [Symbol.asyncDispose]() {
      thawCloud();
      await stop(child);
      process.off("exit", leave);
      rmSync(data, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  // Interrupted or ended, this process takes its own way out: what it started goes first.
  const leave = (): void => {
    thawCloud();
    child.kill("SIGINT");
  };
  process.once("exit", leave);
  process.once("SIGTERM", () => process.exit(143));
  process.once("SIGINT", () => say("interrupted: stopping"));
  try {
    await untilStarted(child);
    return machine;
  } catch (error) {
    await machine[Symbol.asyncDispose]();
    throw error;
  }
}

/** Its last line says how to stop it. */
async function untilStarted(child: ChildProcess): Promise<void> {
  const said: string[] = [];
  const started = Promise.withResolvers<void>();
  for (const input of [child.stdout, child.stderr]) {
    if (input === null) continue;
    createInterface({ input }).on("line", (line) => {
      if (said.push(line) > 100) said.shift();
      if (line.startsWith("Ctrl-C")) started.resolve();
    });
  }
  child.once("exit", (code) => started.reject(new Error(`perigee dev ended with ${code}:\n${said.join("\n")}`)));
  const late = setTimeout(() => {
    started.reject(new Error(`perigee dev is not ready after ${START_MS_MAX / 1000} s:\n${said.join("\n")}`));
  }, START_MS_MAX);
  try {
    await started.promise;
  } finally {
    clearTimeout(late);
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGINT");
  const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
  await ended;
  clearTimeout(late);
}

/** Where `perigee dev` writes the process of each of its programs. */
function cloudOf(data: string): readonly number[] {
  return ["origin", "scheduler"].map((name) => Number(readFileSync(join(data, "run", `${name}.pid`), "utf8")));
}

async function freeOffset(): Promise<number> {
  for (let attempt = 0; attempt < OFFSET_ATTEMPTS_MAX; attempt += 1) {
    const offset = OFFSET_MIN + Math.floor((Math.random() * (OFFSET_MAX - OFFSET_MIN)) / PORT_SPAN) * PORT_SPAN;
    const ports = Array.from({ length: PORT_SPAN }, (_, index) => FIRST_PORT + offset + index);
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return offset;
  }
  throw new Error(`no ${PORT_SPAN} free ports in a row after ${OFFSET_ATTEMPTS_MAX} tries`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    server.close();
    await once(server, "close");
    return true;
  } catch {
    return false;
  }
}
