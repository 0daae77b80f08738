/** `perigee dev` as a process of a test's own, and the command line beside it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import type { Test } from "tap";
import { checkPortsAreFree } from "#deploy/one-machine/free-ports.ts";
import { planMachine } from "#deploy/one-machine/topology.ts";
import { systemClock } from "#platform/clock.ts";

const CLI = join(import.meta.dirname, "..", "..", "cli", "main.ts");
const START_MS_MAX = 100_000;
const NOTED_MS_MAX = 60_000;
const COMMAND_MS_MAX = 60_000;
/** All ports of a start are within the step; the last block ends at 20,000, where those of `test/free-ports.ts` begin. */
const [OFFSET_MIN, OFFSET_STEP, OFFSETS] = [2_600, 200, 50] as const;
const OFFSET_ATTEMPTS_MAX = 20;

export interface Dev {
  readonly child: ChildProcess;
  /** What it printed until it was ready. */
  readonly lines: readonly string[];
  readonly notes: readonly string[];
  /** Resolves when so many notes are like this. */
  noted(like: RegExp, count?: number): Promise<void>;
}

/**
 * An offset at which all its ports are free, below those that the system gives to outgoing connections: one of these
 * would be taken between here and there. Runs beside one another begin their search at different places.
 */
export async function freeOffset(): Promise<number> {
  for (let attempt = 0; attempt < OFFSET_ATTEMPTS_MAX; attempt += 1) {
    const portOffset = OFFSET_MIN + ((process.pid + attempt) % OFFSETS) * OFFSET_STEP;
    const plan = planMachine({ data: "unused", networksFile: "unused", portOffset });
    const isFree = await checkPortsAreFree(plan).then(
      () => true,
      () => false,
    );
    if (isFree) return portOffset;
  }
  throw new Error(`no free block of ports in ${OFFSET_ATTEMPTS_MAX} tries`);
}

/** Waits until everything is ready; stopped when the test ends. */
export async function startDev(t: Pick<Test, "teardown">, data: string, offset: number): Promise<Dev> {
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
