/** What a hit costs: this edge beside nginx `proxy_cache` and Varnish, on one core, in one run, in turns. */

import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { closeServer, listen } from "#platform/http/listening.ts";
import { parseOptions } from "#test/bench/options.ts";
import { cpuSeconds } from "#test/bench/processes.ts";
import { calibrateMs, medianOf, printReport, type Row, reportOf } from "#test/bench/report.ts";
import { LOAD_CORE, makeCertificate, type Subject, startNginx, startPerigee, startVarnish } from "./hit/subjects.ts";

const ROOT = join(import.meta.dirname, "..", "..");
/** A round during which the machine was more than this slower than at its best is void. */
const CALIBRATION_RATIO_MAX = 1.1;
const ETAG = '"hit"';

interface Work {
  readonly name: string;
  readonly bytes: number;
  readonly requests: number;
  readonly isConditional?: true | undefined;
  readonly isTls?: true | undefined;
  /** CPU time and time by the clock of nginx's, at most. */
  readonly cpuRatioMax: number;
  readonly wallRatioMax?: number;
}

const WORKS: readonly Work[] = [
  { name: "1kb", bytes: 1_024, requests: 100_000, cpuRatioMax: 0.7 },
  { name: "10kb", bytes: 10_240, requests: 60_000, cpuRatioMax: 0.8 },
  { name: "304", bytes: 1_024, requests: 100_000, isConditional: true, cpuRatioMax: 0.7 },
  { name: "1mb", bytes: 1_048_576, requests: 2_000, cpuRatioMax: 2.3, wallRatioMax: 1 / 1.5 },
  { name: "tls_1kb", bytes: 1_024, requests: 50_000, isTls: true, cpuRatioMax: 1 },
  { name: "tls_1mb", bytes: 1_048_576, requests: 1_000, isTls: true, cpuRatioMax: 0.8 },
];

const HELP = `npm run bench:hit -- [options]: CPU microseconds and time per hit beside nginx and Varnish
  --only <names>         of ${WORKS.map(({ name }) => name).join(", ")}, parted by commas
  --rounds <count>       of each, in turns (5)
  --scale <ratio>        of the requests in a round (1)
  --connections <count>  keep-alive (64)
  --main <file>          the program: it takes what "perigee edge" takes (cli/main.ts edge)
  --no-varnish           nginx alone
  --smoke                small counts: shows that it runs, measures nothing
  --json                 the last line only
  --help
The access logs of nginx and of the edge are written; Varnish's is its shared memory, without varnishncsa.`;

const { values: options } = parseOptions(HELP, {
  only: { type: "string" },
  rounds: { type: "string", default: "5" },
  scale: { type: "string", default: "1" },
  connections: { type: "string", default: "64" },
  main: { type: "string", default: "cli/main.ts edge" },
  "no-varnish": { type: "boolean", default: false },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});

const pathOf = ({ bytes }: Work): string => `/${bytes}`;
const portOf = (subject: Subject, { isTls }: Work): number | undefined => (isTls ? subject.tlsPort : subject.port);
const requestsOf = ({ requests }: Work): number =>
  options.smoke ? 128 : Math.max(1, Math.round(requests * Number(options.scale)));

/** Asynchronous: the upstream is in this process. Throws where not all were answered as wanted. */
async function load(port: number, work: Work, requests: number): Promise<number> {
  const flags = [
    ...["--port", port, "--path", pathOf(work), "--requests", requests, "--connections", options.connections],
    ...(work.isConditional ? ["--if-none-match", ETAG, "--status", 304] : []),
    ...(work.isTls ? ["--tls"] : []),
  ];
  const words = ["-c", LOAD_CORE, process.execPath, join(ROOT, "test/bench/load-generator.ts"), ...flags.map(String)];
  const { stdout } = await promisify(execFile)("taskset", words);
  const result: unknown = JSON.parse(stdout.trim().split("\n").at(-1) ?? "null");
  return Number(Object(result).seconds);
}

interface Measured {
  readonly calibrationMs: number;
  readonly cpuUs: number;
  readonly wallUs: number;
}

async function measure(subject: Subject, port: number, work: Work): Promise<Measured> {
  const calibrationMs = calibrateMs();
  const requests = requestsOf(work);
  const before = cpuSeconds(subject.pid);
  const seconds = await load(port, work, requests);
  const cpuUs = ((cpuSeconds(subject.pid) - before) * 1e6) / requests;
  return { calibrationMs, cpuUs, wallUs: (seconds * 1e6) / requests };
}

async function measureInTurns(
  subjects: readonly Subject[],
  work: Work,
): Promise<ReadonlyMap<string, readonly Measured[]>> {
  const able = subjects.flatMap((subject) => {
    const port = portOf(subject, work);
    return port === undefined ? [] : [{ subject, port }];
  });
  const results = new Map<string, Measured[]>(able.map(({ subject }) => [subject.name, []]));
  for (const { port } of able) await load(port, work, Math.ceil(requestsOf(work) / 4));
  for (let round = 0; round < (options.smoke ? 1 : Number(options.rounds)); round += 1)
    for (const { subject, port } of able) results.get(subject.name)?.push(await measure(subject, port, work));
  return results;
}

/** Rounds during which the machine was as fast as it can be. */
function valid(all: readonly Measured[], bestMs: number): readonly Measured[] {
  if (options.smoke) return all;
  return all.filter(({ calibrationMs }) => calibrationMs <= bestMs * CALIBRATION_RATIO_MAX);
}

function rowsOf(work: Work, results: ReadonlyMap<string, readonly Measured[]>): readonly Row[] {
  const bestMs = Math.min(...[...results.values()].flat().map(({ calibrationMs }) => calibrationMs));
  const counts: string[] = [];
  const median = (name: string, of: (measured: Measured) => number): number | undefined => {
    const rounds = valid(results.get(name) ?? [], bestMs);
    return rounds.length === 0 ? undefined : Number(medianOf(rounds.map(of)).toFixed(1));
  };
  for (const [name, all] of results) counts.push(`${name} ${valid(all, bestMs).length}/${all.length}`);
  if (!options.json) console.log(`${work.name}: valid rounds ${counts.join(", ")}`);
  const [cpu, wall] = [({ cpuUs }: Measured) => cpuUs, ({ wallUs }: Measured) => wallUs];
  const row = (kind: string, name: string, of: typeof cpu, ratioMax: number | undefined): Row => {
    const [value, baseline] = [median(name, of), median("nginx", of)];
    if (value === undefined || baseline === undefined)
      throw new Error(`${work.name}: void, the machine was busy in every round`);
    const target = ratioMax === undefined || options.smoke ? null : Number((baseline * ratioMax).toFixed(1));
    return { row: `${work.name}_${kind}`, value, unit: "us/request", baseline, target };
  };
  return [
    row("cpu", "edge", cpu, work.cpuRatioMax),
    row("wall", "edge", wall, work.wallRatioMax),
    ...(results.has("varnish") ? [row("cpu_varnish", "varnish", cpu, undefined)] : []),
  ];
}

async function run(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "perigee-bench-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const upstream = createServer((request, response) => {
    const bytes = Number(request.url?.slice(1));
    const fields = { "cache-control": "max-age=86400", "content-type": "text/plain", etag: ETAG };
    response.writeHead(200, { ...fields, "content-length": bytes }).end(Buffer.alloc(bytes, "perigee "));
  });
  const { port: upstreamPort } = await listen(upstream, { host: "127.0.0.1", port: 0 });
  stack.defer(() => closeServer(upstream));
  const ground = { folder, upstreamPort, ...makeCertificate(folder) };
  const subjects = [stack.use(await startNginx(ground)), stack.use(await startPerigee(ground, options.main))];
  if (!options["no-varnish"]) subjects.push(stack.use(await startVarnish(ground)));
  const wanted = options.only?.split(",");
  const works = WORKS.filter(({ name }) => wanted === undefined || wanted.includes(name));
  const rows: Row[] = [];
  for (const work of works) {
    await fill(subjects, work);
    rows.push(...rowsOf(work, await measureInTurns(subjects, work)));
  }
  return printReport(reportOf(options.smoke ? "hit (smoke)" : "hit", rows), options.json);
}

/** The host that the load names is part of what a stored response is found by. */
async function fill(subjects: readonly Subject[], work: Work): Promise<void> {
  for (const subject of subjects) {
    const port = portOf(subject, work);
    if (port !== undefined) await load(port, { ...work, isConditional: undefined }, 1);
  }
}

const missing = ["nginx", "varnishd", "taskset", "openssl"].filter((command) => {
  const isUnneeded = command === "varnishd" && options["no-varnish"];
  return !isUnneeded && spawnSync(command, ["-V"]).error !== undefined;
});
if (options.help) console.log(HELP);
else if (missing.length > 0 || cpus().length < 2) {
  console.error(`it takes two cores, and in PATH: nginx, varnishd, taskset, openssl (missing: ${missing.join(", ")})`);
  process.exitCode = 2;
} else process.exitCode = await run();
