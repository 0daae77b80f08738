/** What a second process is worth: hits a second of one and of two at the same port, in one run, in turns. */

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { closeServer, listen } from "#platform/http/listening.ts";
import { startEdge } from "#test/behaviour/edge-process.ts";
import { parseOptions } from "#test/bench/options.ts";
import { cpuSeconds } from "#test/bench/processes.ts";
import { calibrateMs, medianOf, printReport, type Row, reportOf } from "#test/bench/report.ts";
import { freePort } from "#test/free-ports.ts";
import { makeCertificate } from "./hit/subjects.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const CALIBRATION_RATIO_MAX = 1.1;
const BODY_BYTES = 1_024;

const HELP = `npm run bench:processes -- [options]: hits a second and CPU microseconds a hit with one process and with several
  --processes <count>    beside one (2)
  --rounds <count>       of each, in turns (5)
  --requests <count>     in a round (100000)
  --connections <count>  keep-alive (64)
  --help
The load takes its share of the same cores: with as many processes as cores the ratio is below their number.`;

const { values: options } = parseOptions(HELP, {
  processes: { type: "string", default: "2" },
  rounds: { type: "string", default: "5" },
  requests: { type: "string", default: "100000" },
  connections: { type: "string", default: "64" },
  help: { type: "boolean", default: false },
});

interface Subject {
  readonly pid: number;
  readonly ports: Readonly<Record<"clear" | "tls", number>>;
}

interface Measured {
  readonly calibrationMs: number;
  readonly perSecond: number;
  readonly cpuUs: number;
}

const SCHEMES = ["clear", "tls"] as const;
type Scheme = (typeof SCHEMES)[number];

/** Asynchronous: the upstream is in this process. */
async function load({ ports }: Subject, scheme: Scheme, requests: number): Promise<number> {
  const flags = ["--port", ports[scheme], "--path", "/", "--requests", requests, "--connections", options.connections];
  const words = [
    join(ROOT, "test/bench/load-generator.ts"),
    ...flags.map(String),
    ...(scheme === "tls" ? ["--tls"] : []),
  ];
  const { stdout } = await promisify(execFile)(process.execPath, words);
  const result: unknown = JSON.parse(stdout.trim().split("\n").at(-1) ?? "null");
  return Number(Object(result).seconds);
}

async function measure(subject: Subject, scheme: Scheme): Promise<Measured> {
  const requests = Number(options.requests);
  const calibrationMs = calibrateMs();
  const before = cpuSeconds(subject.pid);
  const seconds = await load(subject, scheme, requests);
  const cpuUs = ((cpuSeconds(subject.pid) - before) * 1e6) / requests;
  return { calibrationMs, perSecond: requests / seconds, cpuUs };
}

async function start(count: string, upstreamPort: number, folder: string, stack: AsyncDisposableStack) {
  const { certificate, key } = makeCertificate(folder);
  const tls = await freePort();
  const secure = ["--listen-tls", `127.0.0.1:${tls}`, "--certificate", certificate, "--key", key];
  const log = ["--access-log", join(folder, `${count}.log`)];
  const edge = stack.use(await startEdge({ upstreamPort, flags: ["--processes", count, ...secure, ...log] }));
  return { pid: edge.pid, ports: { clear: edge.port, tls } };
}

function rowsOf(scheme: Scheme, [one, several]: readonly (readonly Measured[])[]): readonly Row[] {
  const all = [...(one ?? []), ...(several ?? [])];
  const bestMs = Math.min(...all.map(({ calibrationMs }) => calibrationMs));
  const median = (rounds: readonly Measured[] = [], of: (round: Measured) => number) => {
    const valid = rounds.filter(({ calibrationMs }) => calibrationMs <= bestMs * CALIBRATION_RATIO_MAX);
    if (valid.length === 0) throw new Error(`${scheme}: void, the machine was busy in every round`);
    return Number(medianOf(valid.map(of)).toFixed(1));
  };
  const row = (name: string, unit: string, of: (round: Measured) => number): Row => ({
    ...{ row: `${scheme}_${name}`, value: median(several, of), unit, baseline: median(one, of), target: null },
  });
  return [row("hits", "requests/s", ({ perSecond }) => perSecond), row("cpu", "us/request", ({ cpuUs }) => cpuUs)];
}

async function run(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "perigee-bench-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const upstream = createServer((_request, response) => {
    response.writeHead(200, { "cache-control": "max-age=86400", "content-length": BODY_BYTES });
    response.end(Buffer.alloc(BODY_BYTES, "perigee "));
  });
  const { port } = await listen(upstream, { host: "127.0.0.1", port: 0 });
  stack.defer(() => closeServer(upstream));
  const subjects = [await start("1", port, folder, stack), await start(options.processes, port, folder, stack)];
  const rows: Row[] = [];
  for (const scheme of SCHEMES) {
    for (const subject of subjects) await load(subject, scheme, Math.ceil(Number(options.requests) / 4));
    const measured: Measured[][] = subjects.map(() => []);
    for (let round = 0; round < Number(options.rounds); round += 1)
      for (const [index, subject] of subjects.entries()) measured[index]?.push(await measure(subject, scheme));
    rows.push(...rowsOf(scheme, measured));
  }
  return printReport(reportOf(`${options.processes} processes beside one`, rows), false);
}

if (options.help) console.log(HELP);
else process.exitCode = await run();
