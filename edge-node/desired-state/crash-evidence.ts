/**
 * What tells that the process before this one ended by its own fault where it could not write that down itself: the
 * report that Node writes when its heap is full, and the kernel's count of what it killed for want of memory.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

export interface CrashEvidence {
  /** Processes that this machine's kernel has killed for want of memory, since it was started. */
  memoryKills(): number;
  /** True once for each fatal error. */
  takeFatalReport(): boolean;
}

export const NO_EVIDENCE: CrashEvidence = { memoryKills: () => 0, takeFatalReport: () => false };

const REPORT = "fatal-error.json";

/** From now on a fatal error of this process is written into the folder, which nobody else may read. */
export function keepCrashEvidence(folder: string): CrashEvidence {
  const { report } = process;
  Object.assign(report, { reportOnFatalError: true, directory: folder, filename: REPORT, compact: true });
  return {
    memoryKills,
    takeFatalReport() {
      try {
        // The environment is in it, which may hold secrets: it is not kept.
        rmSync(join(folder, REPORT));
        return true;
      } catch {
        return false;
      }
    },
  };
}

/** Linux 4.13 and later count them in /proc/vmstat; 0 where that can't be read. */
function memoryKills(): number {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync("/proc/vmstat", "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
