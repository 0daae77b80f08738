/** `npm run torture:reports`: a deployed edge is killed again and again while clients report to it with the link cut. */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BATCH_REPORTS_MAX } from "#edge-node/reports/report-queue.ts";
import { openRecords, RECORDS_MIGRATIONS } from "#origin/records/records.ts";
import { systemClock } from "#platform/clock.ts";
import { seededRandom } from "#platform/random.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { parseOptions } from "#test/bench/options.ts";
import { printReport, type Row, reportOf } from "#test/bench/report.ts";
import { type Edge, kill, makeGround, perigeeOf, start, startEdge, startOrigin } from "#test/end-to-end/fleet.ts";
import { ask } from "#test/end-to-end/http-client.ts";
import { untilSo } from "#test/end-to-end/waiting.ts";
import { AT_ONCE, Clients } from "./clients.ts";
import { type Arrived, judge } from "./verdict.ts";
import { VISITED, Visitors } from "./visitors.ts";

const POOL = "here";
/** As often as an edge can be told to write down what sites were used. */
const USAGE_SECONDS = 10;
/** What a report of these clients takes in the queue. */
const REPORT_BYTES = 520;
/** Of all records: past it the queue is full. */
const KEPT_RATIO = 0.9;
const MEBIBYTE = 1024 * 1024;
/** Pages and indexes take as much again as what is counted; the write-ahead log comes on top. */
const WRITE_AHEAD_BYTES = 8 * MEBIBYTE;
/** Of the kills, with the link back and records on their way. */
const DELIVERING_RATIO = 0.2;
const KILL_MS_MAX = 40;
const DELIVERING_MS_MAX = 1_500;
const DELIVERED_MS_MAX = 600_000;
const WARM_MS_MAX = 120_000;

const HELP = `node test/reports/main.ts [options]: reports upward under kill -9
  --records <count>  to be acknowledged while the link is cut (100000)
  --kills <count>    of the edge; a fifth while its records are on their way (100)
  --seed <number>    of the instants of the kills (a random one)
  --smoke            5,000 records and 5 kills
  --json             the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  records: { type: "string", default: "100000" },
  kills: { type: "string", default: "100" },
  seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});

const say = (line: string) => {
  if (!options.json) console.log(line);
};

/** Over all lives of the edge. */
interface Costs {
  commits: number;
  reports: number;
  queueFileBytes: number;
}

async function run(): Promise<number> {
  const records = options.smoke ? 5_000 : Number(options.records);
  const kills = options.smoke ? 5 : Number(options.kills);
  const random = seededRandom(Number(options.seed));
  say(`seed ${options.seed}: --records ${records} --kills ${kills} --seed ${options.seed}`);
  await using stack = new AsyncDisposableStack();
  const ground = makeGround({ teardown: (end: () => unknown) => stack.defer(async () => void (await end())) });
  const origin = await startOrigin(ground);
  const { edge, visitors } = await startCutOff(ground, origin);
  const dataDir = join(ground.folder, edge.name);
  const bytesMax = limitQueue(edge, Math.round(records * REPORT_BYTES * KEPT_RATIO));
  const clients = await Clients.of(edge, POOL, dataDir);
  const costs: Costs = { commits: 0, reports: 0, queueFileBytes: 0 };
  const delivering = Math.ceil(kills * DELIVERING_RATIO);
  const cutOff = kills - delivering;
  const sinceMs = systemClock.monotonicMs();
  let reportingMs = 0;
  for (let life = 1; life <= cutOff; life += 1) {
    await start(ground, edge);
    const begunMs = systemClock.monotonicMs();
    const quota = Math.round((records * life) / cutOff);
    await reportUntilKilled(edge, clients, quota, {
      ...{ dataDir, visitors, costs },
      delayMs: random.ratio() * KILL_MS_MAX,
    });
    reportingMs += systemClock.monotonicMs() - begunMs;
    if (life % 10 === 0) say(`${life} kills, ${clients.acknowledged.length} acknowledged`);
  }
  for (const link of edge.toCloud) link.restore();
  for (let life = 0; life < delivering; life += 1) {
    await start(ground, edge);
    await systemClock.sleep(random.ratio() * DELIVERING_MS_MAX);
    await kill(edge);
  }
  await start(ground, edge);
  const isDelivered = ({ waiting, up }: Metrics) => up === 1 && waiting === 0;
  await untilSo("all is delivered", () => metricsOf(edge), isDelivered, { limitMs: DELIVERED_MS_MAX });
  await kill(edge);
  await kill(origin);
  const verdict = judge(clients, recordsOf(origin.dataDir), { atOnce: AT_ONCE, handedOut: BATCH_REPORTS_MAX });
  say(`refused: ${JSON.stringify([...clients.refused])}; ${JSON.stringify(verdict)}`);
  const rows = [
    row("acknowledged", clients.acknowledged.length, "count"),
    row("kills", kills, "count"),
    row("arrived", verdict.arrived, "count"),
    row("acknowledged_and_lost", verdict.lostUnsaid, "count", 0),
    row("arrived_twice", verdict.twice, "count", 0),
    row("arrived_and_never_sent", verdict.strangers, "count", 0),
    row("given_up_and_counted", verdict.dropped, "count"),
    row("counted_and_not_given_up", verdict.overcounted, "count", 0),
    row("given_up_against_the_policy", verdict.againstPolicy, "count", 0),
    ...visitRows(visitors, usageIn(origin.dataDir)),
    row("limit_not_reached", verdict.dropped > 0 ? 0 : 1, "count", 0),
    row("fsyncs_per_record", costs.commits / costs.reports, "ratio", 0.5),
    row("queue_file_of_bound", costs.queueFileBytes / (2 * bytesMax + WRITE_AHEAD_BYTES), "ratio", 1),
    row("acknowledged_per_second", clients.acknowledged.length / (reportingMs / 1000), "1/s"),
    row("seconds", (systemClock.monotonicMs() - sinceMs) / 1000, "s"),
  ];
  return printReport(reportOf("torture-reports", rows), options.json);
}

function row(name: string, value: number, unit: string, target: number | null = null): Row {
  return { row: name, value: Math.round(value * 1000) / 1000, unit, baseline: null, target };
}

function visitRows({ sent, certain }: Visitors, counted: number): readonly Row[] {
  return [
    row("visits", sent, "count"),
    row("visits_to_be_counted", certain, "count"),
    row("visits_counted", counted, "count"),
    row("visits_lost_by_more_than_a_kill", Math.max(0, certain - counted), "count", 0),
    row("visits_counted_twice", Math.max(0, counted - sent), "count", 0),
  ];
}

type Ground = ReturnType<typeof makeGround>;

/** An edge that has been with its origin once, with its links cut; it does not run. */
async function startCutOff(ground: Ground, origin: Awaited<ReturnType<typeof startOrigin>>) {
  const pool = { region: "here", coordinates: { latitude: 0, longitude: 0 } };
  const apply = async (kind: string, name: string, spec: object) => {
    const file = join(ground.folder, `${name}.yaml`);
    writeFileSync(file, JSON.stringify({ apiVersion: "perigee.dev/v1", kind, metadata: { name }, spec }));
    await perigeeOf(origin)("apply", "-f", file);
  };
  await apply("NodePool", POOL, pool);
  await apply("Site", VISITED.name, VISITED.spec);
  const edge = await startEdge(ground, origin, POOL);
  await linkUp(edge);
  const visitors = new Visitors(edge, USAGE_SECONDS);
  await untilSo(
    "the site is there",
    () => visitors.visit(),
    (isThere) => isThere,
  );
  await kill(edge);
  visitors.killed();
  for (const link of edge.toCloud) link.cut();
  return { edge, visitors };
}

/** Its configuration is read at each start. */
function limitQueue({ spec }: Edge, bytes: number): number {
  const diskBytesMax = Math.max(MEBIBYTE, bytes);
  const file = spec.configFile ?? "";
  const reports = { diskBytesMax, usageSeconds: USAGE_SECONDS };
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), reports }));
  return diskBytesMax;
}

interface Killing {
  readonly dataDir: string;
  readonly delayMs: number;
  readonly costs: Costs;
  readonly visitors: Visitors;
}

async function reportUntilKilled(edge: Edge, clients: Clients, quota: number, killing: Killing): Promise<void> {
  const { costs, dataDir, delayMs, visitors } = killing;
  let isKilled = false;
  const limit = systemClock.deadline(WARM_MS_MAX);
  const isOver = () => isKilled || limit.aborted;
  const reporting = Promise.all([clients.report(isOver), visitors.visitUntil(isOver)]);
  while (clients.acknowledged.length < quota && !limit.aborted) await systemClock.sleep(5);
  const { commits, reports } = await metricsOf(edge);
  costs.commits += commits;
  costs.reports += reports;
  costs.queueFileBytes = Math.max(costs.queueFileBytes, queueBytes(dataDir));
  await systemClock.sleep(delayMs);
  await kill(edge);
  isKilled = true;
  visitors.killed();
  await reporting;
  if (limit.aborted) throw new Error(`${clients.acknowledged.length} of ${quota} after ${WARM_MS_MAX} ms`);
}

function queueBytes(dataDir: string): number {
  const sizes = ["", "-wal"].map((end) => statSync(join(dataDir, `reports.sqlite${end}`), { throwIfNoEntry: false }));
  return sizes.reduce((sum, found) => sum + (found?.size ?? 0), 0);
}

interface Metrics {
  readonly commits: number;
  readonly reports: number;
  readonly waiting: number;
  readonly up: number;
}

async function metricsOf({ admin }: Edge): Promise<Metrics> {
  const text = (await ask(admin, "/metrics")).body.toString();
  const of = (name: string) => Number(new RegExp(`^perigee_edge_node_${name} (\\S+)$`, "m").exec(text)?.[1] ?? "0");
  return {
    commits: of("report_commits_total"),
    reports: of("reports_total"),
    waiting: of("reports_waiting"),
    up: of("origin_link_up"),
  };
}

async function linkUp(edge: Edge): Promise<void> {
  await untilSo(
    "the link is up",
    () => metricsOf(edge),
    ({ up }) => up === 1,
  );
}

function recordsOf(dataDir: string): readonly Arrived[] {
  using database = openDatabase(join(dataDir, "records.sqlite"), {
    migrations: RECORDS_MIGRATIONS,
    durability: "normal",
  });
  const rows = database.prepare("SELECT kind, json FROM records").all();
  return rows.map(({ kind, json }) => ({ kind: String(kind), value: JSON.parse(String(json)) }));
}

function usageIn(dataDir: string): number {
  using records = openRecords(join(dataDir, "records.sqlite"));
  const whole = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, per: "day", rowsMax: 1_000 } as const;
  return records.usage.read(whole).reduce((sum, { counts }) => sum + (counts["5xx"] ?? 0), 0);
}

if (options.help) console.log(HELP);
else process.exitCode = await run();
