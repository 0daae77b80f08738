import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t, { type Test } from "tap";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { testFolder } from "#test/test-folder.ts";

const CLI = join(import.meta.dirname, "..", "cli", "main.ts");
const START_MS_MAX = 60_000;
const ANSWER_MS_MAX = 20_000;
const FIRST = 50;
/** Storing is behind the answer: the last few may not be on disk yet when the process is killed. */
const CERTAIN = 40;

async function startEdge(
  t: Test,
  upstream: number,
  store: string,
  address = "127.0.0.1:0",
): Promise<{ child: ChildProcess; url: string }> {
  const flags = ["--listen", address, "--upstream", `http://127.0.0.1:${upstream}`, "--store", store];
  const child = spawn(process.execPath, [CLI, "edge", ...flags], {
    stdio: ["ignore", "pipe", "ignore"],
    timeout: START_MS_MAX,
    killSignal: "SIGKILL",
  });
  t.teardown(() => child.kill("SIGKILL"));
  if (child.stdout === null) throw new Error("no standard output");
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /on (http:\S+)$/.exec(line)?.[1];
    if (url !== undefined) return { child, url };
  }
  throw new Error("the edge ended before it served");
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

async function ask(url: string): Promise<{ status: number; cacheStatus: string; body: Buffer }> {
  const answer = await fetch(url, { signal: systemClock.deadline(ANSWER_MS_MAX) });
  const body = Buffer.from(await answer.arrayBuffer());
  return { status: answer.status, cacheStatus: answer.headers.get("cache-status") ?? "", body };
}

/** Another for each path, from empty to several slices. */
function bodyOf(path: string): Buffer {
  const number = Number(/\d+/.exec(path)?.[0]);
  return Buffer.alloc(((number * 7919) % 40_000) + (number % 25 === 0 ? 1_500_000 : 0), `${path} `);
}

t.test(
  "what was cached is a hit after kill -9 with the upstream dead; what was being written is whole or a miss",
  async (t) => {
    const upstream = createServer((request, response) => {
      const body = bodyOf(request.url ?? "");
      response.writeHead(200, { "cache-control": "max-age=86400", "content-length": body.byteLength }).end(body);
    });
    const { port } = await listen(upstream, { host: "127.0.0.1", port: 0 });
    t.teardown(() => closeServer(upstream));
    const store = testFolder(t);
    const paths = Array.from({ length: 150 }, (_, index) => `/object/${index}`);
    const before = paths.slice(0, FIRST);
    const first = await startEdge(t, port, store);
    for (const path of before) await ask(`${first.url}${path}`);
    await kill(first.child);
    const address = new URL(first.url).host;
    const second = await startEdge(t, port, store, address);
    const writing = paths.slice(FIRST).map((path) => ask(`${second.url}${path}`).catch(() => undefined));
    await Promise.race(writing.slice(20));
    await kill(second.child);
    await Promise.all(writing);
    await closeServer(upstream);
    const third = await startEdge(t, port, store, address);
    for (const [index, path] of paths.entries()) {
      const { status, cacheStatus, body } = await ask(`${third.url}${path}`);
      t.ok(status === 502 || (status === 200 && body.equals(bodyOf(path))), `${path}: ${status} ${cacheStatus}`);
      if (index < CERTAIN) t.match(cacheStatus, "Perigee; hit", path);
    }
  },
);
