/** Runs one of Perigee's programs as a process of its own: start, wait until ready, stop. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";

/** A cold start on a slow machine, imports and calibration included. */
export const READY_MS_MAX = 60_000;
/** Longer than a program's own limit for its ordered stop. */
const STOP_MS_MAX = 12_000;
const READY_POLL_MS = 100;
/** The end of a log that a message shows. */
const LOG_SHOWN_CHARACTERS = 600;

const ROOT = resolve(import.meta.dirname, "..", "..");

export interface ProgramSpec {
  readonly name: string;
  /** Absolute, or from the project's root. */
  readonly main: string;
  /** Of lines `NAME=value`, added to its environment; absolute, or from the project's root. */
  readonly environmentFile?: string | undefined;
  readonly configFile?: string;
  /** Given as `--set`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Scheme, host and port of its admin listener. */
  readonly adminUrl: string;
  /** Where its log goes. */
  readonly logFile: string;
}

export interface ProgramEnd {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface RunningProgram extends AsyncDisposable {
  readonly pid: number;
  /** Resolves when the process has ended by itself or by disposal. */
  readonly ended: Promise<ProgramEnd>;
  /** At once, without asking. */
  kill(): void;
}

/** Throws `unavailable` when it ends or is not ready in time; the message has the end of its log. */
export async function startProgram(spec: ProgramSpec, clock: Clock, signal: AbortSignal): Promise<RunningProgram> {
  const program = spawnProgram(spec, clock);
  try {
    await untilReady(spec, program, clock, clock.deadline(READY_MS_MAX, signal));
    return program;
  } catch (error) {
    await program[Symbol.asyncDispose]();
    throw error;
  }
}

/** Does not wait until it is ready. */
export function spawnProgram(spec: ProgramSpec, clock: Clock): RunningProgram {
  const config = spec.configFile === undefined ? [] : ["--config", spec.configFile];
  const settings = Object.entries(spec.settings ?? {}).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
  const variables = spec.environmentFile === undefined ? [] : variablesIn(resolve(ROOT, spec.environmentFile));
  const log = openSync(spec.logFile, "a");
  try {
    // A group of its own: Ctrl-C in a terminal is for who started it, which stops all in order.
    // And env(1) becomes the program: its process is the one that is watched.
    const command = [...variables, process.execPath, resolve(ROOT, spec.main), ...config, ...settings];
    const child = spawn("env", command, {
      stdio: ["ignore", log, log],
      detached: true,
    });
    return runningOf(spec, child, clock);
  } finally {
    closeSync(log);
  }
}

/** `NAME=value` each. */
export function variablesIn(environmentFile: string): readonly string[] {
  const lines = readFileSync(environmentFile, "utf8").split("\n");
  return lines.filter((line) => /^\w+=/.test(line));
}

function runningOf(spec: ProgramSpec, child: ChildProcess, clock: Clock): RunningProgram {
  if (child.pid === undefined) throw new Failure("unavailable", `${spec.name} cannot be started: no process was made`);
  return {
    pid: child.pid,
    ended: endOf(child),
    kill: () => void child.kill("SIGKILL"),
    [Symbol.asyncDispose]: () => stop(child, clock),
  };
}

async function endOf(child: ChildProcess): Promise<ProgramEnd> {
  if (!hasEnded(child)) await once(child, "exit");
  return { exitCode: child.exitCode, signal: child.signalCode };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Throws `unavailable` once the program has ended, the signal's reason once that is aborted. */
export async function untilReady(
  spec: ProgramSpec,
  program: Pick<RunningProgram, "ended">,
  clock: Clock,
  deadline: AbortSignal,
): Promise<void> {
  let end: ProgramEnd | undefined;
  void program.ended.then((how) => {
    end = how;
  });
  while (!(await isReady(spec.adminUrl, deadline))) {
    if (end !== undefined) {
      const shown = await endOfLog(spec.logFile);
      throw new Failure(
        "unavailable",
        `${spec.name} ended (${describeEnd(end)}) before it was ready; the end of ${spec.logFile}:\n${shown}`,
      );
    }
    await clock.sleep(READY_POLL_MS, deadline);
  }
}

export function describeEnd({ exitCode, signal }: ProgramEnd): string {
  return signal === null ? `status ${exitCode}` : signal;
}

async function endOfLog(file: string): Promise<string> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text.slice(-LOG_SHOWN_CHARACTERS).trimEnd();
}

async function isReady(adminUrl: string, signal: AbortSignal): Promise<boolean> {
  const response = await fetch(`${adminUrl}/readyz`, { signal }).catch(() => undefined);
  await response?.body?.cancel();
  return response?.ok === true;
}

/** Told to stop in order; killed when that takes too long. */
async function stop(child: ChildProcess, clock: Clock): Promise<void> {
  if (hasEnded(child)) return;
  child.kill("SIGTERM");
  using _killer = clock.timer(STOP_MS_MAX, () => child.kill("SIGKILL"));
  await once(child, "exit");
}
