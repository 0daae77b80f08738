/** From kill -9 to the first byte of an edge that nobody helps: its bundle beside its sources, in turns on the same data. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "#platform/clock.ts";
import { cpuSeconds, residentMb } from "#test/bench/processes.ts";
import { medianOf, printReport, type Row, reportOf } from "#test/bench/report.ts";
import { type Content, PULLED, startUpstream, writeContent } from "#test/end-to-end/content.ts";
import {
  type Edge,
  type Ground,
  kill,
  makeGround,
  perigeeOf,
  startCold,
  startEdge,
  startOrigin,
  withheldMs,
} from "#test/end-to-end/fleet.ts";
import { type Answer, ask } from "#test/end-to-end/http-client.ts";
import { untilSo } from "#test/end-to-end/waiting.ts";

/** The promise to users after an outage. */
const TARGET_MS = 1_000;
const SHOP = { name: "shop", host: "shop.example" };
const NEWS = { name: "news", host: "news.example" };
const POLL_MS = 2;
const TARGET_MB = 120;
const OBJECT_BYTES = 10_000;

const HELP = `node edge-node/bench/cold-start.bench.ts [options]: kill -9 to first byte, with the cloud gone
  --rounds <count>  of each, in turns (15)
  --objects <count> published and served before, of 10 kB (1000)
  --idle-seconds <count>  before resident memory is read (10)
  --smoke           one round: shows that it runs, measures nothing
  --json            the last line only
  --help`;

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "15" },
    objects: { type: "string", default: "1000" },
    "idle-seconds": { type: "string", default: "10" },
    smoke: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

interface Start {
  readonly wallMs: number;
  /** Of all threads, from the process's begin to the first byte. */
  readonly cpuMs: number;
  /** In which the main thread could have run, and the machine ran others. */
  readonly withheldMs: number;
}

interface Prepared {
  readonly edge: Edge;
  readonly content: Content;
  /** Its resident memory when it had served everything and was at rest. */
  readonly filledMb: number;
}

/** An edge that has a published site and a pulled one, and whose origin is gone. */
async function prepareEdge(ground: Ground): Promise<Prepared> {
  const upstream = await startUpstream(ground.t);
  const origin = await startOrigin(ground);
  const perigee = perigeeOf(origin);
  const document = (kind: string, name: string, spec: object) =>
    JSON.stringify({ apiVersion: "perigee.dev/v1", kind, metadata: { name }, spec });
  const resources = [
    document("NodePool", "here", { region: "here", coordinates: { latitude: 0, longitude: 0 } }),
    document("Site", SHOP.name, { hostnames: [SHOP.host], publish: {} }),
    document("Site", NEWS.name, { hostnames: [NEWS.host], pull: { upstream: upstream.url } }),
    document("ContentPolicy", "all", { sites: [SHOP.name, NEWS.name], prefetch: "all" }),
  ];
  const file = join(ground.folder, "resources.yaml");
  writeFileSync(file, resources.join("\n---\n"));
  await perigee("apply", "-f", file);
  const edge = await startEdge(ground, origin, "here");
  const folder = join(ground.folder, "release");
  const content = new Map([...writeContent(folder, 1), ...writeObjects(folder)]);
  await perigee("publish", folder, "--site", SHOP.name);
  for (const [site, files] of [
    [SHOP, content],
    [NEWS, PULLED],
  ] as const) {
    for (const [path, bytes] of files) await untilSo(`${path} is served`, () => get(edge, site, path), is(bytes));
  }
  const filledMb = await idleMb(edge);
  // In order, so that all of it is on the disk.
  await edge.running?.[Symbol.asyncDispose]();
  await kill(origin);
  await upstream.close();
  return { edge, content, filledMb };
}

function writeObjects(folder: string): Content {
  mkdirSync(join(folder, "objects"), { recursive: true });
  const objects = Array.from({ length: options.smoke ? 20 : Number(options.objects) }, (_, index) => {
    const bytes = Buffer.alloc(OBJECT_BYTES, `perigee ${index} `);
    writeFileSync(join(folder, "objects", `${index}`), bytes);
    return [`/objects/${index}`, bytes] as const;
  });
  return new Map(objects);
}

async function idleMb({ running }: Edge): Promise<number> {
  await systemClock.sleep(options.smoke ? 100 : Number(options["idle-seconds"]) * 1000);
  return Number(residentMb(running?.pid ?? 0).toFixed(1));
}

function get({ content }: Edge, { host }: { readonly host: string }, path: string): Promise<Answer> {
  return ask(content, path, { headers: { host } });
}

function is(wanted: Buffer | undefined): (answer: Answer) => boolean {
  return ({ status, body }) => status === 200 && wanted !== undefined && body.equals(wanted);
}

async function measureStart(ground: Ground, edge: Edge, content: Content): Promise<Start> {
  const startedMs = startCold(ground, edge);
  const isFirst = is(content.get("/index.html"));
  await untilSo("the edge serves", () => get(edge, SHOP, "/index.html"), isFirst, { pauseMs: POLL_MS });
  const wallMs = systemClock.monotonicMs() - startedMs;
  const taken = { wallMs, cpuMs: cpuSeconds(edge.running?.pid ?? 0) * 1000, withheldMs: withheldMs(edge) };
  for (const [path, bytes] of PULLED) {
    const answer = await get(edge, NEWS, path);
    if (!is(bytes)(answer)) throw new Error(`${path} is ${answer.status} without its upstream`);
  }
  // Ready: the rest of the start, and what is kept for the next one, is not cut short.
  await untilSo(
    "the edge has started",
    () => ask(edge.admin, "/healthz"),
    ({ status }) => status === 200,
  );
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
  const { edge, content, filledMb } = await prepareEdge(ground);
  const fromSource: Edge = { ...edge, spec: { ...edge.spec, main: "edge-node/main.ts" } };
  const programs = [fromSource, edge].map((member) => ({ edge: member, starts: [] as Start[] }));
  const rounds = options.smoke ? 1 : Number(options.rounds);
  for (const program of programs) await measureStart(ground, program.edge, content);
  for (let round = 0; round < rounds; round += 1) {
    for (const program of programs) program.starts.push(await measureStart(ground, program.edge, content));
  }
  const [source = [], bundle = []] = programs.map(({ starts }) => starts);
  startCold(ground, edge);
  await untilSo(
    "the edge has started",
    () => ask(edge.admin, "/healthz"),
    ({ status }) => status === 200,
  );
  const rss = { unit: "MB", baseline: null, target: TARGET_MB };
  const rows = [
    ...rowsOf(source, bundle),
    { row: "rss_idle", value: filledMb, ...rss },
    { row: "rss_idle_restarted", value: await idleMb(edge), ...rss },
  ];
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
  return [
    row("wallMs", "median", TARGET_MS),
    row("wallMs", "max", TARGET_MS),
    row("cpuMs", "median", null),
    row("cpuMs", "max", null),
    row("withheldMs", "median", null),
    row("withheldMs", "max", null),
  ];
}

if (options.help) console.log(HELP);
else process.exitCode = await run();
