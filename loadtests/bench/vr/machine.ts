/** What the operating system says of this machine and of session processes: idle and stolen time, CPU time, memory. */
import { readdirSync, readFileSync } from "node:fs";
import { systemClock } from "#platform/clock.ts";
import { cpuSeconds } from "#test/bench/processes.ts";

/** Before a run, for so long. */
const LOOK_MS = 1_000;
const SESSION_PROGRAM = "render-agent/session/child.ts";

interface CpuTimes {
  readonly total: number;
  readonly idle: number;
  readonly stolen: number;
}

export interface CpuShares {
  /** 0 to 1, of all cores. */
  readonly idleRatio: number;
  readonly stealRatio: number;
}

/** /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already. */
function readCpuTimes(): CpuTimes {
  const line = /^cpu +(.*)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1] ?? "";
  const times = line.split(" ").slice(0, 8).map(Number);
  const total = times.reduce((sum, ticks) => sum + ticks, 0);
  return { total, idle: (times[3] ?? 0) + (times[4] ?? 0), stolen: times[7] ?? 0 };
}

/** Call the result later: shares since now. */
export function startShares(): () => CpuShares {
  const before = readCpuTimes();
  return () => {
    const after = readCpuTimes();
    const total = Math.max(1, after.total - before.total);
    return { idleRatio: (after.idle - before.idle) / total, stealRatio: (after.stolen - before.stolen) / total };
  };
}

export async function lookAtMachine(): Promise<CpuShares> {
  const shares = startShares();
  await systemClock.sleep(LOOK_MS);
  return shares();
}

/** This process's children that render: sessions, and spares, which take no time. */
export function sessionPids(): readonly number[] {
  return childrenOf(process.pid).filter((pid) => commandOf(pid).includes(SESSION_PROGRAM));
}

/** Call the result later: seconds of CPU since now of all that live then as now. */
export function startCpuSeconds(pids: readonly number[]): () => number {
  const before = new Map(pids.map((pid) => [pid, cpuSecondsOf(pid)]));
  return () => pids.reduce((sum, pid) => sum + Math.max(0, cpuSecondsOf(pid) - (before.get(pid) ?? 0)), 0);
}

/** Proportional set size: pages shared by n processes count for 1/n. 0 for a process that is gone. */
export function proportionalMb(pid: number): number {
  const text = readOrEmpty(`/proc/${pid}/smaps_rollup`);
  return (Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024) / 1e6;
}

function cpuSecondsOf(pid: number): number {
  try {
    return cpuSeconds(pid);
  } catch {
    // It has ended.
    return 0;
  }
}

function childrenOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readOrEmpty(`/proc/${pid}/task/${task}/children`).split(" ").filter(Boolean).map(Number),
  );
}

function commandOf(pid: number): string {
  return readOrEmpty(`/proc/${pid}/cmdline`);
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
