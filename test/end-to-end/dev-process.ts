/** `perigee dev` as a process of a test's own, and the command line beside it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import type { Test } from "tap";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";

const CLI = join(import.meta.dirname, "..", "..", "cli", "main.ts");
const START_MS_MAX = 100_000;
const NOTED_MS_MAX = 60_000;
const COMMAND_MS_MAX = 60_000;
const FIRST_PORT = 7_400;
const OFFSET_MAX = 50_000;

export interface Dev {
  readonly child: ChildProcess;
  /** What it printed until it was ready. */
  readonly lines: readonly string[];
  readonly notes: readonly string[];
  /** Resolves when so many notes are like this. */
  noted(like: RegExp, count?: number): Promise<void>;
}

/** An offset at which the first of its ports is free. */
export async function freeOffset(): Promise<number> {
  const server = createServer();
  const { port } = await listen(server, { host: "127.0.0.1", port: 0 });
  await closeServer(server);
  return Math.min(Math.max(port - FIRST_PORT, 1), OFFSET_MAX);
}

/** Waits until everything is ready; stopped when the test ends. */
export async function startDev(t: Test, data: string, offset: number): Promise<Dev> {
  const child = spawn(process.execPath, [CLI, "dev", "--data", data, "--port-offset", String(offset)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const leave = (): void => void child.kill("SIGINT");
  process.once("exit", leave);
  t.teardown(async () => {
    await stopDev(child);
    process.off("exit", leave);
  });
  using _late = systemClock.timer(START_MS_MAX, leave);
  const [lines, notes]: [string[], string[]] = [[], []];
  const notesOfChild = createInterface({ input: child.stderr }).on("line", (line) => notes.push(line));
  const noted = async (like: RegExp, count = 1): Promise<void> => {
    const signal = systemClock.deadline(NOTED_MS_MAX);
    while (notes.filter((note) => like.test(note)).length < count) await once(notesOfChild, "line", { signal });
  };
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (line.startsWith("Ctrl-C")) return { child, lines, notes, noted };
  }
  throw new Error(`perigee dev did not start:\n${notes.join("\n")}`);
}

/** As Ctrl-C does; its exit status. */
export async function stopDev(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, "exit");
    child.kill("SIGINT");
    await ended;
  }
  return child.exitCode;
}

/** The processes of its programs, by name. */
export function pidsOf(data: string): ReadonlyMap<string, number> {
  const files = readdirSync(join(data, "run"));
  return new Map(files.map((file) => [file.slice(0, -4), Number(readFileSync(join(data, "run", file), "utf8"))]));
}

export interface CommandRun {
  readonly status: number | null;
  readonly out: string;
  readonly notes: string;
}

/** The command line against it. */
export async function perigee(data: string, ...words: string[]): Promise<CommandRun> {
  const all = [CLI, "--context", join(data, "context.yaml"), ...words];
  const child = spawn(process.execPath, all, { cwd: data, stdio: ["ignore", "pipe", "pipe"], timeout: COMMAND_MS_MAX });
  const [out, notes] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { status: child.exitCode, out, notes };
}
