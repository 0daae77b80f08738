/** Runs one of Perigee's programs as a process of its own: start, wait until ready, stop. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { openSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";

/** A cold start on a slow machine, imports included. */
export const READY_MS_MAX = 60_000;
/** Longer than a program's own limit for its ordered stop. */
const STOP_MS_MAX = 12_000;
const READY_POLL_MS = 100;

const ROOT = join(import.meta.dirname, "..", "..");

export interface ProgramSpec {
  readonly name: string;
  /** From the project's root. */
  readonly main: string;
  readonly settings: Readonly<Record<string, string>>;
  /** Scheme, host and port of its admin listener. */
  readonly adminUrl: string;
  /** Where its log goes. */
  readonly logFile: string;
}

export interface RunningProgram extends AsyncDisposable {
  /** Resolves when the process has ended by itself. */
  readonly ended: Promise<void>;
}

/** Throws `unavailable` when it ends or is not ready in time; its log says why. */
export async function startProgram(spec: ProgramSpec, clock: Clock, signal: AbortSignal): Promise<RunningProgram> {
  const settings = Object.entries(spec.settings).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
  const log = openSync(spec.logFile, "a");
  const child = spawn(process.execPath, [join(ROOT, spec.main), ...settings], {
    stdio: ["ignore", log, log],
    detached: true,
  });
  const running = { ended: endOf(child), [Symbol.asyncDispose]: () => stop(child, clock) };
  try {
    await untilReady(spec, child, clock, clock.deadline(READY_MS_MAX, signal));
    return running;
  } catch (error) {
    await stop(child, clock);
    throw error;
  }
}

async function endOf(child: ChildProcess): Promise<void> {
  if (!hasEnded(child)) await once(child, "exit");
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function untilReady(spec: ProgramSpec, child: ChildProcess, clock: Clock, deadline: AbortSignal): Promise<void> {
  while (!(await isReady(spec.adminUrl, deadline))) {
    if (hasEnded(child)) {
      throw new Failure(
        "unavailable",
        `${spec.name} ended with status ${child.exitCode} before it was ready; see ${spec.logFile}`,
      );
    }
    await clock.sleep(READY_POLL_MS, deadline);
  }
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
