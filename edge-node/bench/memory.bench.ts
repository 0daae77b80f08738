/** Resident memory of an edge at rest, with a store on disk and objects cached. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { residentMb, startProcess } from "#test/bench/processes.ts";
import { printReport, reportOf } from "#test/bench/report.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const TARGET_MB = 120;
const BODY_BYTES = 10_000;
const AT_ONCE = 8;
/** A young generation of 1 MiB: an edge's garbage is short-lived, and V8 gives grown space back late. */
const NODE_FLAGS = "--max-semi-space-size=1";

const HELP = `node edge-node/bench/memory.bench.ts [options]: resident memory of an idle edge
  --objects <count>      cached, of 10 kB (1000)
  --idle-seconds <count> before it is read (10)
  --main <file>          the program: it takes what "perigee edge" takes (cli/main.ts edge)
  --node-flags <flags>   of the process (${NODE_FLAGS})
  --smoke                small counts: shows that it runs, measures nothing
  --json                 the last line only
  --help`;

const { values: options } = parseArgs({
  options: {
    objects: { type: "string", default: "1000" },
    "idle-seconds": { type: "string", default: "10" },
    main: { type: "string", default: "cli/main.ts edge" },
    "node-flags": { type: "string", default: NODE_FLAGS },
    smoke: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

async function fill(url: string, objects: number): Promise<void> {
  for (let index = 0; index < objects; index += AT_ONCE) {
    const numbers = Array.from({ length: Math.min(AT_ONCE, objects - index) }, (_, offset) => index + offset);
    await Promise.all(
      numbers.map(async (number) => {
        const answer = await fetch(`${url}/object/${number}`);
        const { byteLength } = await answer.arrayBuffer();
        if (answer.status !== 200 || byteLength !== BODY_BYTES) throw new Error(`object ${number}: ${answer.status}`);
      }),
    );
  }
}

/** Of a process of its own, on the same store; the environment is passed on, so NODE_COMPILE_CACHE counts. */
async function restMb(folder: string, upstream: number, idleMs: number, use: (url: string) => Promise<void>) {
  const [main = "", ...words] = options.main.split(" ");
  const flags = ["--upstream", `http://127.0.0.1:${upstream}`, "--store", join(folder, "store")];
  await using edge = await startProcess({
    command: process.execPath,
    words: [
      ...options["node-flags"].split(" ").filter(Boolean),
      join(ROOT, main),
      ...words,
      "--listen",
      "127.0.0.1:0",
      ...flags,
    ],
    ready: /on (http:\S+)/,
  });
  await use(edge.said[1] ?? "");
  await systemClock.sleep(idleMs);
  return Number(residentMb(edge.pid).toFixed(1));
}

async function run(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "perigee-bench-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const body = Buffer.alloc(BODY_BYTES, "perigee ");
  const upstream = createServer((_request, response) => {
    response.writeHead(200, { "cache-control": "max-age=86400", "content-length": BODY_BYTES }).end(body);
  });
  const { port } = await listen(upstream, { host: "127.0.0.1", port: 0 });
  stack.defer(() => closeServer(upstream));
  const idleMs = options.smoke ? 100 : Number(options["idle-seconds"]) * 1000;
  const afterFill = await restMb(folder, port, idleMs, (url) =>
    fill(url, options.smoke ? 20 : Number(options.objects)),
  );
  const afterRestart = await restMb(folder, port, idleMs, async () => undefined);
  const rows = [
    { row: "edge_rss_idle", value: afterFill, unit: "MB", baseline: null, target: TARGET_MB },
    { row: "edge_rss_idle_restarted", value: afterRestart, unit: "MB", baseline: null, target: TARGET_MB },
  ];
  return printReport(reportOf(options.smoke ? "memory (smoke)" : "memory", rows), options.json);
}

if (options.help) console.log(HELP);
else process.exitCode = await run();
