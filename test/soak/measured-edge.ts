/** The stand-alone edge with the probe in it, and what the probe says. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import Type from "typebox";
import { Value } from "typebox/value";
import { systemClock } from "#platform/clock.ts";
import type { Held } from "./verdict.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const START_MS_MAX = 60_000;
const ANSWER_MS_MAX = 60_000;
const END_MS_MAX = 20_000;
const LAST_LINES = 20;

const HELD = Type.Object({
  memoryMib: Type.Number(),
  residentMib: Type.Number(),
  descriptors: Type.Number(),
  sockets: Type.Number(),
  timers: Type.Number(),
  resources: Type.Number(),
});

export interface MeasuredEdge extends AsyncDisposable {
  readonly port: number;
  measure(): Promise<Held>;
}

export async function startMeasuredEdge(upstreamPort: number, flags: readonly string[]): Promise<MeasuredEdge> {
  const probe = pathToFileURL(join(import.meta.dirname, "probe.ts")).href;
  const addresses = ["--listen", "127.0.0.1:0", "--upstream", `http://127.0.0.1:${upstreamPort}`];
  const words = ["--expose-gc", "--import", probe, join(ROOT, "cli", "main.ts"), "edge", ...addresses, ...flags];
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe", "ipc"] });
  keepLastWords(child);
  const port = await portOf(child);
  return {
    port,
    measure: () => measure(child),
    [Symbol.asyncDispose]: () => end(child),
  };
}

/** It says much of the trouble that it is given; only of an end of its own accord is it of interest. */
function keepLastWords(child: ChildProcess): void {
  if (child.stderr === null) return;
  let last: readonly string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => {
    last = [...last, line].slice(-LAST_LINES);
  });
  child.once("exit", (code, signal) => {
    if (code !== 0) console.error(`the edge ended with ${code ?? signal}; its last words:\n${last.join("\n")}`);
  });
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

async function measure(child: ChildProcess): Promise<Held> {
  const answer = once(child, "message", { signal: systemClock.deadline(ANSWER_MS_MAX) });
  child.send("measure");
  const [message] = await answer;
  return Value.Parse(HELD, message);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  using _late = systemClock.timer(END_MS_MAX, () => child.kill("SIGKILL"));
  await ended;
}
