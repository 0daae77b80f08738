/** Starts the stand-alone edge as a process of its own, as an operator does. */
import { join } from "node:path";
import { type Running, startProcess } from "#test/bench/processes.ts";

const ROOT = join(import.meta.dirname, "..", "..");

export interface EdgeProcess extends Running {
  readonly port: number;
  readonly url: string;
}

export interface EdgeOptions {
  readonly upstreamPort: number;
  readonly flags?: readonly string[];
  /** Of Node, before the program. */
  readonly nodeFlags?: readonly string[];
}

export async function startEdge({ upstreamPort, flags = [], nodeFlags = [] }: EdgeOptions): Promise<EdgeProcess> {
  const addresses = ["--listen", "127.0.0.1:0", "--upstream", `http://127.0.0.1:${upstreamPort}`];
  const running = await startProcess({
    command: process.execPath,
    words: [...nodeFlags, join(ROOT, "cli", "main.ts"), "edge", ...addresses, ...flags],
    ready: /on http:\/\/127\.0\.0\.1:(\d+)/,
  });
  const port = Number(running.said[1]);
  return { ...running, port, url: `http://127.0.0.1:${port}` };
}
