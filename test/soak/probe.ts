/** Loaded into the measured process by --import: answers each message with what the process holds after a forced collection. */
import { readdirSync, readlinkSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
import type { Held } from "./verdict.ts";

const MIB = 1024 * 1024;

/** Twice: what a finaliser lets go of is only free after the next. */
function collect(): void {
  if (globalThis.gc === undefined) throw new Error("what is measured runs with --expose-gc");
  globalThis.gc();
  globalThis.gc();
}

function held(): Held {
  const resources = process.getActiveResourcesInfo();
  collect();
  const { heapUsed, external, rss } = process.memoryUsage();
  const targets = readdirSync("/proc/self/fd").map(targetOf);
  return {
    memoryMib: (heapUsed + external) / MIB,
    residentMib: rss / MIB,
    descriptors: targets.length,
    sockets: targets.filter((target) => target.startsWith("socket:")).length,
    timers: resources.filter((name) => name === "Timeout").length,
    resources: resources.length,
  };
}

/** The descriptor that lists the folder is gone by now. */
function targetOf(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return "";
  }
}

if (isMainThread) {
  process.on("message", () => process.send?.(held()));
  // It ends when it wants to, not when nobody measures it any more.
  process.channel?.unref();
}
