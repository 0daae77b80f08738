/** From kill -9 to the first byte of an edge that nobody helps: its bundle beside its sources, in turns on the same data. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "#platform/clock.ts";
import { parseOptions } from "#test/bench/options.ts";
import { get, holds, NEWS, prepareEdge, SHOP, stopCloud, untilStarted } from "#test/bench/prepared-edge.ts";
import { cpuSeconds } from "#test/bench/processes.ts";
import { medianOf, printReport, type Row, reportOf } from "#test/bench/report.ts";
import { type Content, PULLED } from "#test/end-to-end/content.ts";
import { type Edge, type Ground, kill, makeGround, startCold, withheldMs } from "#test/end-to-end/fleet.ts";
import { untilSo } from "#test/end-to-end/waiting.ts";

/** The promise to users after an outage. */
const TARGET_MS = 1_000;
const POLL_MS = 2;

const HELP = `node edge-node/bench/cold-start.bench.ts [options]: kill -9 to first byte, with the cloud gone
  --rounds <count>  of each, in turns (15)
  --objects <count> published and served before, of 10 kB (1000)
  --smoke           one round: shows that it runs, measures nothing
  --json            the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  rounds: { type: "string", default: "15" },
  objects: { type: "string", default: "1000" },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});

interface Start {
  readonly wallMs: number;
  /** Of all threads, from the process's begin to the first byte. */
  readonly cpuMs: number;
  /** In which the main thread could have run, and the machine ran others. */
  readonly withheldMs: number;
}

async function measureStart(ground: Ground, edge: Edge, content: Content): Promise<Start> {
  const startedMs = startCold(ground, edge);
  const isFirst = holds(content.get("/index.html"));
  await untilSo("the edge serves", () => get(edge, SHOP, "/index.html"), isFirst, { pauseMs: POLL_MS });
  const wallMs = systemClock.monotonicMs() - startedMs;
  const taken = { wallMs, cpuMs: cpuSeconds(edge.running?.pid ?? 0) * 1000, withheldMs: withheldMs(edge) };
  for (const [path, bytes] of PULLED) {
    const answer = await get(edge, NEWS, path);
    if (!holds(bytes)(answer)) throw new Error(`${path} is ${answer.status} without its upstream`);
  }
  // The rest of the start, and what is kept for the next one, is not cut short.
  await untilStarted(edge);
  await kill(edge);
  return taken;
}

async function run(): Promise<number> {
  // What an installation keeps between starts; this machine's may hold anything.
  const folder = mkdtempSync(join(tmpdir(), "perigee-compiled-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  process.env["NODE_COMPILE_CACHE"] = folder;
  const ground = makeGround({ teardown: (end) => stack.defer(end) });
  const prepared = await prepareEdge(ground, options.smoke ? 20 : Number(options.objects));
  const { edge, content } = prepared;
  // In order, so that all of it is on the disk.
  await edge.running?.[Symbol.asyncDispose]();
  await stopCloud(prepared);
  const fromSource: Edge = { ...edge, spec: { ...edge.spec, main: "edge-node/main.ts" } };
  const programs = [fromSource, edge].map((member) => ({ edge: member, starts: [] as Start[] }));
  const rounds = options.smoke ? 1 : Number(options.rounds);
  for (const program of programs) await measureStart(ground, program.edge, content);
  for (let round = 0; round < rounds; round += 1) {
    for (const program of programs) program.starts.push(await measureStart(ground, program.edge, content));
  }
  const [source = [], bundle = []] = programs.map(({ starts }) => starts);
  const rows = rowsOf(source, bundle);
  return printReport(reportOf(options.smoke ? "cold-start (smoke)" : "cold-start", rows), options.json);
}

function rowsOf(source: readonly Start[], bundle: readonly Start[]): readonly Row[] {
  const summaries = { median: medianOf, max: (values: readonly number[]) => Math.max(...values) };
  const row = (what: keyof Start, summary: keyof typeof summaries, target: number | null): Row => {
    const [value = 0, baseline = 0] = [bundle, source].map((starts) =>
      Math.round(summaries[summary](starts.map((start) => start[what]))),
    );
    return { row: `first_byte_${what.replace("Ms", "")}_${summary}`, value, unit: "ms", baseline, target };
  };
  const target = options.smoke ? null : TARGET_MS;
  return [
    row("wallMs", "median", target),
    row("wallMs", "max", target),
    row("cpuMs", "median", null),
    row("cpuMs", "max", null),
    row("withheldMs", "median", null),
    row("withheldMs", "max", null),
  ];
}

if (options.help) console.log(HELP);
else process.exitCode = await run();
