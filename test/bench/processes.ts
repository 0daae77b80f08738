/** The processes that a benchmark measures: started, watched through the operating system's accounting, ended. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { systemClock } from "#platform/clock.ts";

const START_MS_MAX = 60_000;
const END_MS_MAX = 10_000;

export interface Running extends AsyncDisposable {
  readonly pid: number;
  /** What the line that said so matched. */
  readonly said: RegExpExecArray;
}

export interface StartOptions {
  readonly command: string;
  readonly words: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** What it prints on standard output or standard error once it serves. */
  readonly ready: RegExp;
}

export async function startProcess({ command, words, environment = {}, ready }: StartOptions): Promise<Running> {
  const child = spawn(command, words, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...environment } });
  try {
    const said = await saying(child, ready);
    if (child.pid === undefined) throw new Error(`${command} has no process`);
    return { pid: child.pid, said, [Symbol.asyncDispose]: () => end(child) };
  } catch (error) {
    await end(child);
    throw error;
  }
}

async function saying(child: ChildProcess, ready: RegExp): Promise<RegExpExecArray> {
  const lines: string[] = [];
  const found = Promise.withResolvers<RegExpExecArray>();
  for (const input of [child.stdout, child.stderr]) {
    if (input === null) continue;
    createInterface({ input }).on("line", (line) => {
      if (lines.length < 20) lines.push(line);
      const match = ready.exec(line);
      if (match !== null) found.resolve(match);
    });
  }
  child.once("error", found.reject);
  child.once("exit", (code) => found.reject(new Error(`${child.spawnfile} ended with ${code}:\n${lines.join("\n")}`)));
  using _late = systemClock.timer(START_MS_MAX, () => {
    found.reject(new Error(`${child.spawnfile} is not ready after ${START_MS_MAX} ms:\n${lines.join("\n")}`));
  });
  return await found.promise;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  using _late = systemClock.timer(END_MS_MAX, () => child.kill("SIGKILL"));
  await ended;
}

const CLOCK_TICKS_PER_SECOND = Number(spawnSync("getconf", ["CLK_TCK"], { encoding: "utf8" }).stdout);

/** User and system time of a process and its children that live, in seconds. */
export function cpuSeconds(pid: number): number {
  return processTree(pid).reduce((sum, member) => sum + ticksOf(member) / CLOCK_TICKS_PER_SECOND, 0);
}

/** `utime` and `stime` of /proc/PID/stat; what stands before them may have spaces. */
function ticksOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

function processTree(pid: number): readonly number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap(processTree)];
}

/** Resident memory in MB (10^6 bytes). */
export function residentMb(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return (Number(kibibytes) * 1024) / 1e6;
}
