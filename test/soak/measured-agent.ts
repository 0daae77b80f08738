/** A render-agent with the probe in it, between an edge of a test's pool and whoever has a grant; and the processes it has. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FakeEdge, PoolWorld } from "#test/render-agent/pool-world.ts";
import { end, measure, spawnMeasured } from "./measured-process.ts";
import type { Held } from "./verdict.ts";

const ROOT = join(import.meta.dirname, "..", "..");
/** Those that are warm and wait for a session; the rest belong to sessions. */
const SPARES = 1;

export interface MeasuredAgent extends AsyncDisposable {
  measure(): Promise<Held>;
  /** Of those it has started, ended and not reaped ones among them. */
  processes(): readonly number[];
}

export function startMeasuredAgent(world: PoolWorld, edge: FakeEdge, dataDir: string, slotsMax: number): MeasuredAgent {
  const config = join(dataDir, "config.json");
  const text = JSON.stringify({
    dataDir: join(dataDir, "agent"),
    name: "gpu-1",
    join: world.writeJoinToken(dataDir),
    edges: [edge.configured],
    listen: { websocket: "127.0.0.1:0", admin: "127.0.0.1:0" },
    capacity: { slotsMax, spares: SPARES },
    logLevel: "error",
  });
  writeFileSync(config, text);
  const child = spawnMeasured([join(ROOT, "render-agent", "main.ts"), "--config", config]);
  child.stdout?.resume();
  return {
    measure: () => measure(child),
    processes: () => childrenOf(child.pid ?? 0),
    [Symbol.asyncDispose]: () => end(child),
  };
}

/** The parent of a process is the second field after its name, which may have anything in it (proc_pid_stat(5)). */
function childrenOf(parent: number): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => parentOf(name) === parent)
    .map(Number);
}

function parentOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    // It has ended since it was listed.
    return undefined;
  }
}
