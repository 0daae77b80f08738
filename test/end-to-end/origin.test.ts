/** The origin as an operator meets it: real processes, the real command line, killed and started again. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t, { type Test } from "tap";
import { closeServer, listen } from "#platform/http/listening.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const CLI = join(ROOT, "cli", "main.ts");
const START_MS_MAX = 60_000;

const BAD_POLICY = `apiVersion: perigee.dev/v1
kind: PlacementPolicy
metadata:
  name: eu
spec:
  apps: [hall]
  sites: []
  latencyBudgetMs: {}
  # A pool cannot be in the region and not in it.
  preferences: []
  constraints:
    - {label: region, operator: In, values: [eu]}
    - {label: region, operator: NotIn, values: [eu]}
`;

/** An offset at which the first of the ports is free. */
async function freeOffset(): Promise<number> {
  const server = createServer();
  const { port } = await listen(server, { host: "127.0.0.1", port: 0 });
  await closeServer(server);
  return port > 57_000 ? port - 50_000 : Math.max(port - 7400, 1);
}

async function startDev(t: Test, data: string, offset: number): Promise<{ child: ChildProcess; lines: string[] }> {
  const child = spawn(process.execPath, [CLI, "dev", "--data", data, "--port-offset", String(offset)], {
    stdio: ["ignore", "pipe", "inherit"],
    timeout: START_MS_MAX,
  });
  t.teardown(() => child.kill("SIGTERM"));
  const lines: string[] = [];
  if (child.stdout === null) throw new Error("no standard output");
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (line.startsWith("Ctrl-C")) break;
  }
  return { child, lines };
}

function perigee(data: string, ...words: string[]): { status: number | null; out: string; notes: string } {
  const context = join(data, "context.yaml");
  const run = spawnSync(process.execPath, [CLI, "--context", context, ...words], { encoding: "utf8", cwd: data });
  return { status: run.status, out: run.stdout, notes: run.stderr };
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGINT");
  await ended;
}

t.test("what an operator applied and published survives kill -9 of the origin", async (t) => {
  const folder = t.testdir({ data: {}, content: { "index.html": "<h1>second</h1>" }, "bad.yaml": BAD_POLICY });
  const data = join(folder, "data");
  const offset = await freeOffset();
  const first = await startDev(t, data, offset);
  t.match(first.lines.join("\n"), /status page.*\n.*operator API/);
  t.match(perigee(data, "publish", join(folder, "content"), "--site", "shop"), {
    status: 0,
    out: /generation 2, 1 files, 1 uploaded/,
  });
  t.match(perigee(data, "rollback", "shop", "--to", "1"), { status: 0, out: /generation 3 has the content of 1/ });
  process.kill(originPid(data), "SIGKILL");
  const [code] = await once(first.child, "exit");
  t.equal(code, 3, "dev says that the origin ended");
  const second = await startDev(t, data, offset);
  t.match(perigee(data, "get", "releases", "-o", "name"), {
    status: 0,
    out: "Release/shop.1\nRelease/shop.2\nRelease/shop.3\n",
  });
  t.match(perigee(data, "apply", "-f", join(folder, "bad.yaml")), {
    status: 2,
    notes: /bad\.yaml:11: spec\.constraints contradict each other/,
  });
  t.match(perigee(data, "get", "site", "none"), { status: 5 });
  t.match(perigee(data, "join-token", "--name", "near-1", "--pool", "near"), {
    status: 0,
    out: /token .*\npin +sha256:/,
  });
  await stop(second.child);
});

/** The newest process that wrote to the origin's log. */
function originPid(data: string): number {
  const records = readFileSync(join(data, "origin.log"), "utf8").split("\n");
  const pids = records.flatMap((record) => /"pid":(\d+)/.exec(record)?.[1] ?? []);
  return Number(pids.at(-1));
}
