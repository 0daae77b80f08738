/** The data folder of a one-machine start: its layout, one owner at a time, and what an owner that was killed left running. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";

/** Some days of a program's records; one older file is kept. */
const LOG_BYTES_MAX = 16 * 1024 * 1024;
const STOP_MS_MAX = 10_000;
const STOP_POLL_MS = 50;
const OWNER = "dev";

export interface DataFolder extends Disposable {
  readonly path: string;
  configFile(program: string): string;
  logFile(program: string): string;
  pidFile(program: string): string;
  joinTokenFile(program: string): string;
  /** Where a command line finds who runs here. */
  readonly controlFile: string;
  /** What the start itself keeps: samples and their marks. */
  sampleFile(name: string): string;
}

/** Throws `unavailable` where another start has it. Ends what a killed one left running, and says so. */
export async function takeDataFolder(path: string, clock: Clock, note: (text: string) => void): Promise<DataFolder> {
  for (const part of ["", "config", "logs", "run", "tokens", "samples"]) {
    mkdirSync(join(path, part), { recursive: true, mode: 0o700 });
  }
  const folder = folderAt(path);
  const owner = readPid(folder.pidFile(OWNER));
  if (owner !== undefined && owner !== process.pid && isRunning(owner, "main.ts")) {
    throw new Failure("unavailable", `${path} is used by process ${owner}: stop it, or give another folder by --data`);
  }
  writeFileSync(folder.pidFile(OWNER), `${process.pid}\n`);
  await endLeftovers(folder, clock, note);
  rotateLogs(path);
  return folder;
}

export function controlFileIn(path: string): string {
  return join(path, "control.json");
}

function folderAt(path: string): DataFolder {
  const pidFile = (program: string) => join(path, "run", `${program}.pid`);
  return {
    path,
    controlFile: controlFileIn(path),
    configFile: (program) => join(path, "config", `${program}.json`),
    logFile: (program) => join(path, "logs", `${program}.log`),
    pidFile,
    joinTokenFile: (program) => join(path, "tokens", program),
    sampleFile: (name) => join(path, "samples", name),
    [Symbol.dispose]: () => rmSync(pidFile(OWNER), { force: true }),
  };
}

async function endLeftovers(folder: DataFolder, clock: Clock, note: (text: string) => void): Promise<void> {
  const programs = readdirSync(join(folder.path, "run"))
    .map((file) => basename(file, ".pid"))
    .filter((program) => program !== OWNER);
  await Promise.all(
    programs.map(async (program) => {
      const pid = readPid(folder.pidFile(program));
      const isOurs = () => pid !== undefined && isRunning(pid, folder.configFile(program));
      if (pid !== undefined && isOurs()) {
        note(`${program} of an earlier start still runs (process ${pid}): ending it`);
        await endProcess(pid, isOurs, clock);
      }
      rmSync(folder.pidFile(program), { force: true });
    }),
  );
}

async function endProcess(pid: number, isThere: () => boolean, clock: Clock): Promise<void> {
  process.kill(pid, "SIGTERM");
  const limit = clock.deadline(STOP_MS_MAX);
  while (isThere() && !limit.aborted) await clock.sleep(STOP_POLL_MS);
  if (isThere()) process.kill(pid, "SIGKILL");
}

function readPid(file: string): number | undefined {
  if (!existsSync(file)) return undefined;
  const pid = Number(readFileSync(file, "utf8"));
  return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
}

/** Where the system shows command lines, one of them must have `word`: numbers of processes are used again. */
function isRunning(pid: number, word: string): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  if (!existsSync("/proc/self/cmdline")) return true;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(word);
  } catch {
    return false;
  }
}

function rotateLogs(path: string): void {
  const logs = join(path, "logs");
  for (const name of readdirSync(logs).filter((file) => file.endsWith(".log"))) {
    const file = join(logs, name);
    if (statSync(file).size > LOG_BYTES_MAX) renameSync(file, `${file}.1`);
  }
}
