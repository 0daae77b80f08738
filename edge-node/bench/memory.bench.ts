/** Resident memory of an edge at rest with objects cached: as it is deployed, and the stand-alone proxy from its sources. */
import { createServer } from "node:http";
import { join } from "node:path";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { parseOptions } from "#test/bench/options.ts";
import {
  get,
  holds,
  OBJECT_BYTES,
  type Prepared,
  prepareEdge,
  SHOP,
  stopCloud,
  untilStarted,
} from "#test/bench/prepared-edge.ts";
import { residentMb, startProcess } from "#test/bench/processes.ts";
import { printReport, reportOf } from "#test/bench/report.ts";
import { type Edge, type Ground, makeGround, startCold } from "#test/end-to-end/fleet.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const TARGET_MB = 120;
const AT_ONCE = 8;

const HELP = `node edge-node/bench/memory.bench.ts [options]: resident memory of an idle edge
  --objects <count>      cached and served, of 10 kB (1000)
  --idle-seconds <count> before it is read (10)
  --smoke                small counts: shows that it runs, measures nothing
  --json                 the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  objects: { type: "string", default: "1000" },
  "idle-seconds": { type: "string", default: "10" },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});
const objects = options.smoke ? 20 : Number(options.objects);

async function restMb(pid: number | undefined): Promise<number> {
  await systemClock.sleep(options.smoke ? 100 : Number(options["idle-seconds"]) * 1000);
  return Number(residentMb(pid ?? 0).toFixed(1));
}

/** With the cloud there and all of it served; started again without a cloud; and when that has served all of it too. */
async function deployedMb(ground: Ground): Promise<readonly number[]> {
  const prepared = await prepareEdge(ground, objects);
  const { edge } = prepared;
  const filled = await restMb(edge.running?.pid);
  // In order, so that all of it is on the disk.
  await edge.running?.[Symbol.asyncDispose]();
  await stopCloud(prepared);
  startCold(ground, edge);
  await untilStarted(edge);
  const restarted = await restMb(edge.running?.pid);
  await serveAll(edge, prepared);
  return [filled, restarted, await restMb(edge.running?.pid)];
}

async function serveAll(edge: Edge, { content }: Prepared): Promise<void> {
  for (const [path, bytes] of content) {
    const answer = await get(edge, SHOP, path);
    if (!holds(bytes)(answer)) throw new Error(`${path} is ${answer.status}`);
  }
}

/** `perigee edge` when it has pulled and served all of it. */
async function standaloneMb({ folder, t }: Ground): Promise<number> {
  const body = Buffer.alloc(OBJECT_BYTES, "perigee ");
  const upstream = createServer((_request, response) => {
    response.writeHead(200, { "cache-control": "max-age=86400", "content-length": OBJECT_BYTES }).end(body);
  });
  const { port } = await listen(upstream, { host: "127.0.0.1", port: 0 });
  t.teardown(() => closeServer(upstream));
  const command = ["edge", "--listen", "127.0.0.1:0", "--upstream", `http://127.0.0.1:${port}`];
  await using edge = await startProcess({
    command: process.execPath,
    words: [join(ROOT, "cli", "main.ts"), ...command, "--store", join(folder, "store")],
    ready: /on (http:\S+)/,
  });
  await pull(edge.said[1] ?? "");
  return await restMb(edge.pid);
}

async function pull(url: string): Promise<void> {
  for (let index = 0; index < objects; index += AT_ONCE) {
    const numbers = Array.from({ length: Math.min(AT_ONCE, objects - index) }, (_, offset) => index + offset);
    await Promise.all(
      numbers.map(async (number) => {
        const answer = await fetch(`${url}/object/${number}`);
        const { byteLength } = await answer.arrayBuffer();
        if (answer.status !== 200 || byteLength !== OBJECT_BYTES) throw new Error(`object ${number}: ${answer.status}`);
      }),
    );
  }
}

async function run(): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const ground = makeGround({ teardown: (end) => stack.defer(end) });
  const [filled = 0, restarted = 0, restartedServed = 0] = await deployedMb(ground);
  const standalone = await standaloneMb(ground);
  const row = (name: string, value: number, target: number | null) => {
    return { row: name, value, unit: "MB", baseline: null, target };
  };
  const rows = [
    row("edge_rss_idle", filled, TARGET_MB),
    row("edge_rss_idle_restarted", restarted, TARGET_MB),
    row("edge_rss_idle_restarted_served", restartedServed, TARGET_MB),
    row("standalone_rss_idle", standalone, null),
  ];
  return printReport(reportOf(options.smoke ? "memory (smoke)" : "memory", rows), options.json);
}

if (options.help) console.log(HELP);
else process.exitCode = await run();
