/** A process with the probe in it: what it holds, its last words where it ends of its own accord, and its end. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import Type from "typebox";
import { Value } from "typebox/value";
import { systemClock } from "#platform/clock.ts";
import type { Held } from "./verdict.ts";

const ANSWER_MS_MAX = 60_000;
const END_MS_MAX = 20_000;
const LAST_LINES = 20;

const HELD = Type.Object({
  heapMib: Type.Number(),
  externalMib: Type.Number(),
  residentMib: Type.Number(),
  descriptors: Type.Number(),
  sockets: Type.Number(),
  timers: Type.Number(),
  resources: Type.Number(),
});

/** `words` are the program and what it is told. */
export function spawnMeasured(words: readonly string[]): ChildProcess {
  const probe = pathToFileURL(join(import.meta.dirname, "probe.ts")).href;
  const child = spawn(process.execPath, ["--expose-gc", "--import", probe, ...words], {
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  keepLastWords(child);
  return child;
}

/** It says much of the trouble that it is given; only of an end of its own accord is it of interest. */
function keepLastWords(child: ChildProcess): void {
  if (child.stderr === null) return;
  let last: readonly string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => {
    last = [...last, line].slice(-LAST_LINES);
  });
  child.once("exit", (code, signal) => {
    if (code !== 0) console.error(`the process ended with ${code ?? signal}; its last words:\n${last.join("\n")}`);
  });
}

export async function measure(child: ChildProcess): Promise<Held> {
  const answer = once(child, "message", { signal: systemClock.deadline(ANSWER_MS_MAX) });
  child.send("measure");
  const [message] = await answer;
  return Value.Parse(HELD, message);
}

export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  using _late = systemClock.timer(END_MS_MAX, () => child.kill("SIGKILL"));
  await ended;
}
