/** CPU time of a 1 KB hit: this edge beside nginx `proxy_cache`, on one machine, in one run, in turns. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { closeServer, listen } from "#platform/http/listening.ts";
import { cpuSeconds, type Running, startProcess } from "#test/bench/processes.ts";
import { calibrateMs, medianOf, printReport, reportOf } from "#test/bench/report.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const BODY_BYTES = 1024;
/** A round during which the machine was more than this slower than at its best is void. */
const CALIBRATION_RATIO_MAX = 1.1;

const HELP = `node edge-node/bench/hit.bench.ts [options]: CPU microseconds per 1 KB hit beside nginx
  --requests <count>     in a round (100000)
  --rounds <count>       of each, in turns (5)
  --connections <count>  keep-alive (64)
  --main <file>          the program: it takes what "perigee edge" takes (cli/main.ts edge)
  --smoke                small counts: shows that it runs, measures nothing
  --json                 the last line only
  --help`;

const { values: options } = parseArgs({
  options: {
    requests: { type: "string", default: "100000" },
    rounds: { type: "string", default: "5" },
    connections: { type: "string", default: "64" },
    main: { type: "string", default: "cli/main.ts edge" },
    smoke: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

interface Subject {
  readonly name: string;
  readonly pid: number;
  readonly port: number;
}

function load(port: number, requests: number): number {
  const words = ["--port", String(port), "--requests", String(requests), "--connections", options.connections];
  const run = spawnSync(process.execPath, [join(ROOT, "test/bench/load-generator.ts"), ...words], { encoding: "utf8" });
  const result: unknown = JSON.parse(run.stdout.trim().split("\n").at(-1) ?? "null");
  const { answered, seconds } = Object(result);
  if (run.status !== 0 || answered !== requests)
    throw new Error(`the load ended with ${run.status}: ${run.stdout}${run.stderr}`);
  return Number(seconds);
}

interface Measured {
  readonly microseconds: number;
  readonly perSecond: number;
}

function measure({ pid, port }: Subject, requests: number): Measured {
  const before = cpuSeconds(pid);
  const seconds = load(port, requests);
  return { microseconds: ((cpuSeconds(pid) - before) * 1e6) / requests, perSecond: requests / seconds };
}

function nginxConfig(folder: string, port: number, upstream: number): string {
  const temporary = ["client_body", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`);
  // As root its worker would be another user, who cannot come into the folder.
  const user = process.getuid?.() === 0 ? "user root;" : "";
  return `daemon off; ${user} worker_processes 1; pid ${folder}/nginx.pid; error_log stderr notice;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; tcp_nodelay on;
  proxy_temp_path ${folder}/proxy; ${temporary.join(" ")}
  proxy_cache_path ${folder}/cache levels=1:2 keys_zone=perigee:10m max_size=1g inactive=1d use_temp_path=off;
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://127.0.0.1:${upstream}; proxy_cache perigee; add_header X-Cache $upstream_cache_status; }
  }
}
`;
}

async function startNginx(folder: string, upstream: number): Promise<Running & Subject> {
  const free = createServer();
  const { port } = await listen(free, { host: "127.0.0.1", port: 0 });
  await closeServer(free);
  const config = join(folder, "nginx.conf");
  writeFileSync(config, nginxConfig(folder, port, upstream));
  const words = ["-p", folder, "-e", "stderr", "-c", config];
  const running = await startProcess({ command: "nginx", words, ready: /start worker process \d+/ });
  return { ...running, name: "nginx", port };
}

async function startEdge(folder: string, upstream: number): Promise<Running & Subject> {
  const flags = [
    "--listen",
    "127.0.0.1:0",
    "--upstream",
    `http://127.0.0.1:${upstream}`,
    "--store",
    join(folder, "store"),
  ];
  const [main = "", ...words] = options.main.split(" ");
  const running = await startProcess({
    command: process.execPath,
    words: [join(ROOT, main), ...words, ...flags],
    ready: /on http:\/\/127\.0\.0\.1:(\d+)/,
  });
  return { ...running, name: "edge", port: Number(running.said[1]) };
}

function measureInTurns(
  subjects: readonly Subject[],
  requests: number,
  rounds: number,
): ReadonlyMap<string, Measured[]> {
  const results = new Map<string, Measured[]>(subjects.map(({ name }) => [name, []]));
  const calibrations: number[] = [];
  const taken: { name: string; calibration: number; measured: Measured }[] = [];
  for (const subject of subjects) load(subject.port, Math.ceil(requests / 4));
  for (let round = 0; round < rounds; round += 1) {
    for (const subject of subjects) {
      const calibration = calibrateMs();
      calibrations.push(calibration);
      taken.push({ name: subject.name, calibration, measured: measure(subject, requests) });
    }
  }
  const bestMs = Math.min(...calibrations);
  for (const { name, calibration, measured } of taken)
    if (options.smoke || calibration <= bestMs * CALIBRATION_RATIO_MAX) results.get(name)?.push(measured);
  return results;
}

async function run(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "perigee-bench-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const body = Buffer.alloc(BODY_BYTES, "perigee ");
  const upstream = createServer((_request, response) => {
    const fields = { "cache-control": "max-age=86400", "content-type": "text/plain", "content-length": BODY_BYTES };
    response.writeHead(200, fields).end(body);
  });
  const { port } = await listen(upstream, { host: "127.0.0.1", port: 0 });
  stack.defer(() => closeServer(upstream));
  const nginx = stack.use(await startNginx(folder, port));
  const edge = stack.use(await startEdge(folder, port));
  for (const subject of [nginx, edge]) await (await fetch(`http://127.0.0.1:${subject.port}/`)).arrayBuffer();
  const requests = options.smoke ? 500 : Number(options.requests);
  const rounds = options.smoke ? 1 : Number(options.rounds);
  const results = measureInTurns([nginx, edge], requests, rounds);
  const [ofNginx = [], ofEdge = []] = ["nginx", "edge"].map((name) => results.get(name));
  if (ofNginx.length === 0 || ofEdge.length === 0) throw new Error("void: the machine was busy in every round");
  if (!options.json) console.log(`valid rounds: nginx ${ofNginx.length}, edge ${ofEdge.length} of ${rounds}`);
  const cpu = (of: readonly Measured[]) => Number(medianOf(of.map(({ microseconds }) => microseconds)).toFixed(1));
  const rate = (of: readonly Measured[]) => Math.round(medianOf(of.map(({ perSecond }) => perSecond)));
  const rows = [
    { row: "hit_cpu", value: cpu(ofEdge), unit: "us/request", baseline: cpu(ofNginx), target: null },
    { row: "hit_rate", value: rate(ofEdge), unit: "requests/s", baseline: rate(ofNginx), target: null },
  ];
  return printReport(reportOf(options.smoke ? "hit (smoke)" : "hit", rows), options.json);
}

if (options.help) console.log(HELP);
else if (spawnSync("nginx", ["-v"]).error !== undefined) {
  console.error("nginx is what this is measured beside, and is not in PATH: apt-get install nginx-light");
  process.exitCode = 2;
} else process.exitCode = await run();
