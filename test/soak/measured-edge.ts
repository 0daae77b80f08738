/** The stand-alone edge with the probe in it, and what the probe says. */
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { systemClock } from "#platform/clock.ts";
import { end, measure, spawnMeasured } from "./measured-process.ts";
import type { Held } from "./verdict.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const START_MS_MAX = 60_000;

export interface MeasuredEdge extends AsyncDisposable {
  readonly port: number;
  measure(): Promise<Held>;
}

export async function startMeasuredEdge(upstreamPort: number, flags: readonly string[]): Promise<MeasuredEdge> {
  const addresses = ["--listen", "127.0.0.1:0", "--upstream", `http://127.0.0.1:${upstreamPort}`];
  const child = spawnMeasured([join(ROOT, "cli", "main.ts"), "edge", ...addresses, ...flags]);
  const port = await portOf(child);
  return {
    port,
    measure: () => measure(child),
    [Symbol.asyncDispose]: () => end(child),
  };
}

async function portOf(child: ChildProcess): Promise<number> {
  if (child.stdout === null) throw new Error("no standard output");
  using _late = systemClock.timer(START_MS_MAX, () => child.kill("SIGKILL"));
  for await (const line of createInterface({ input: child.stdout })) {
    const port = /on http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port !== undefined) return Number(port);
  }
  throw new Error(`the edge ended before it served (limit ${START_MS_MAX} ms)`);
}
