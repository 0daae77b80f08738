/** Loaded into the measured process by --import: answers each message with what the process holds after a forced collection. */
import { readdirSync, readlinkSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
import type { Held } from "./verdict.ts";

const MIB = 1024 * 1024;

/**
 * As when memory runs out, which is again and again until nothing more comes free: what finalisers let go of, and code that
 * was run once. Of that the engine otherwise forgets some when it likes to, as the 3.6 MiB of what strips types from sources.
 */
function collect(): void {
  if (globalThis.gc === undefined) throw new Error("what is measured runs with --expose-gc");
  globalThis.gc({ type: "major", execution: "sync", flavor: "last-resort" });
}

function held(): Held {
  const resources = process.getActiveResourcesInfo();
  collect();
  const { heapUsed, external, rss } = process.memoryUsage();
  const targets = readdirSync("/proc/self/fd").map(targetOf);
  return {
    heapMib: heapUsed / MIB,
    externalMib: external / MIB,
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
