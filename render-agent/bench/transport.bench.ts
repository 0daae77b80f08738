/** What a frame takes from an agent to a client over a link that is long and loses packets, by how many connections. */
import { STRIPES_MAX } from "#contracts/media/control.ts";
import { systemClock } from "#platform/clock.ts";
import { parseOptions } from "#test/bench/options.ts";
import { printReport, type Row, reportOf } from "#test/bench/report.ts";
import { openBrowserPath, openFixedPath, openSessionPath, type Path, type PathOptions } from "./paths.ts";

const HELP = `node render-agent/bench/transport.bench.ts [options]: frames over data channels through a UDP link
  --bytes <count>       of a frame (default 12000)
  --rate <hz>           frames a second (default 30)
  --connections <list>  those that are tried (default 1,2,3,4,6,8)
  --rtt-ms <ms>         of the link (default 10)
  --loss <ratio>        of its packets (default 0.01)
  --parity <ratio>      parity over data (default 0.2); a session's own follows the loss
  --frames <count>      of each, each round (default 150)
  --rounds <count>      in turns; what is said is the median of them (default 5)
  --chromium            sessions with a real browser at the other end
  --smoke               as little as shows that it runs; judged by nobody
  --json                the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  bytes: { type: "string", default: "12000" },
  rate: { type: "string", default: "30" },
  connections: { type: "string", default: "1,2,3,4,6,8" },
  "rtt-ms": { type: "string", default: "10" },
  loss: { type: "string", default: "0.01" },
  parity: { type: "string", default: "0.2" },
  frames: { type: "string", default: "150" },
  rounds: { type: "string", default: "5" },
  chromium: { type: "boolean", default: false },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});

/** A session's p95 over that of a single connection in the same run. */
const RATIO_TARGET = 0.75;
const WHOLE_PERCENT_TARGET = 99;
/** Frames that each has before it is measured: a session asks for connections by what they need. */
const SETTLING_FRAMES = 60;
/** A machine whose timers are later was busy with something else: such a run is made again. */
const LATE_MS_MAX = 8;
const ATTEMPTS_MAX = 3;
/** What is still on its way then is lost. */
const LAST_MS = 500;

const [bytes, rateHz, rttMs, lossRatio, parityRatio] = [
  Number(options.bytes),
  Number(options.rate),
  Number(options["rtt-ms"]),
  Number(options.loss),
  Number(options.parity),
];
const frames = options.smoke ? 15 : Number(options.frames);
const rounds = options.smoke ? 1 : Number(options.rounds);
const counts = options.smoke ? [1, 3] : options.connections.split(",").map(Number);

let repeated = 0;

interface Measured {
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly wholePercent: number;
  readonly heldBackPercent: number;
  readonly connections: number;
  /** How late the sender's own timers were, which is the machine's doing. */
  readonly lateMsP95: number;
}

type OpenPath = (path: PathOptions) => Promise<Path>;

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.POSITIVE_INFINITY;
}

/** One frame each period, so long as `goesOn`; gives how late each was. */
async function pace(goesOn: () => boolean, send: () => void): Promise<number[]> {
  const lateMs: number[] = [];
  const startMs = systemClock.monotonicMs();
  for (let turn = 1; goesOn(); turn += 1) {
    send();
    const dueMs = startMs + (turn * 1000) / rateHz;
    await systemClock.sleep(Math.max(0, dueMs - systemClock.monotonicMs()));
    lateMs.push(systemClock.monotonicMs() - dueMs);
  }
  return lateMs;
}

async function measure(open: OpenPath, seed: number): Promise<Measured> {
  const sentAtMs = new Map<number, number>();
  const tookMs: number[] = [];
  const onFrame = (frameNumber: number, atMs: number): void => {
    const sent = sentAtMs.get(frameNumber);
    if (sent !== undefined) tookMs.push(atMs - sent);
  };
  await using path = await open({ rttMs, seed, onFrame });
  const content = new Uint8Array(bytes).map((_, at) => at * 7);
  let frameNumber = 0;
  await pace(
    () => frameNumber < SETTLING_FRAMES,
    () => {
      frameNumber += 1;
      path.send(frameNumber, content);
    },
  );
  path.setLink({ rttMs, lossRatio });
  let [tried, heldBack] = [0, 0];
  const lateMs = await pace(
    () => tried < frames,
    () => {
      tried += 1;
      frameNumber += 1;
      sentAtMs.set(frameNumber, systemClock.monotonicMs());
      if (path.send(frameNumber, content)) return;
      sentAtMs.delete(frameNumber);
      heldBack += 1;
    },
  );
  await systemClock.sleep(LAST_MS);
  return {
    p50Ms: quantile(tookMs, 0.5),
    p95Ms: quantile(tookMs, 0.95),
    wholePercent: (100 * tookMs.length) / frames,
    heldBackPercent: (100 * heldBack) / frames,
    connections: await path.connections(),
    lateMsP95: quantile(lateMs, 0.95),
  };
}

function medianOf(runs: readonly Measured[], key: keyof Measured): number {
  return (
    Math.round(
      10 *
        quantile(
          runs.map((run) => run[key]),
          0.5,
        ),
    ) / 10
  );
}

/** In turns, so that what else the machine does meets all alike. */
async function measureAll(paths: ReadonlyMap<string, OpenPath>): Promise<ReadonlyMap<string, Measured[]>> {
  const runs = new Map<string, Measured[]>([...paths.keys()].map((name) => [name, []]));
  for (let round = 1; round <= rounds; round += 1) {
    for (const [name, open] of paths) {
      let measured = await measure(open, round);
      for (let attempt = 1; measured.lateMsP95 > LATE_MS_MAX && attempt < ATTEMPTS_MAX; attempt += 1) {
        repeated += 1;
        measured = await measure(open, round);
      }
      runs.get(name)?.push(measured);
      if (!options.json) console.error(`round ${round}, ${name}: ${JSON.stringify(measured)}`);
    }
  }
  return runs;
}

function rowsOf(name: string, runs: readonly Measured[], single: readonly Measured[]): Row[] {
  const row = (what: string, key: keyof Measured, unit: string): Row => {
    const baseline = single === runs ? null : medianOf(single, key);
    return { row: `${name}: ${what}`, value: medianOf(runs, key), unit, baseline, target: null };
  };
  return [
    row("until a frame is whole, p50", "p50Ms", "ms"),
    row("until a frame is whole, p95", "p95Ms", "ms"),
    row("whole", "wholePercent", "% of frames"),
    row("held back", "heldBackPercent", "% of frames"),
  ];
}

async function report(): Promise<Row[]> {
  const paths = new Map<string, OpenPath>(
    counts.map((count) => [`by ${count}`, (path) => openFixedPath(path, count, parityRatio)]),
  );
  const openSession = options.chromium ? openBrowserPath : openSessionPath;
  paths.set("a session with one", (path) => openSession(path, 1));
  paths.set("a session", (path) => openSession(path, STRIPES_MAX));
  const runs = await measureAll(paths);
  const single = runs.get("a session with one") ?? [];
  const session = runs.get("a session") ?? [];
  const ratio = Math.round((100 * medianOf(session, "p95Ms")) / medianOf(single, "p95Ms")) / 100;
  const all = [...runs.values()].flat();
  return [
    ...[...runs].flatMap(([name, own]) => rowsOf(name, own, single)),
    { row: "connections of a session", value: medianOf(session, "connections"), unit: "", baseline: 1, target: null },
    { row: "a session's p95 over that with one", value: ratio, unit: "", baseline: 1, target: RATIO_TARGET },
    {
      ...{ row: "frames of a session that come whole", value: medianOf(session, "wholePercent"), unit: "%" },
      ...{ baseline: medianOf(single, "wholePercent"), target: WHOLE_PERCENT_TARGET, atLeast: true },
    },
    { row: "runs made again, for late timers", value: repeated, unit: "runs", baseline: null, target: null },
    { row: "timers late, p95", value: medianOf(all, "lateMsP95"), unit: "ms", baseline: null, target: null },
  ];
}

if (options.help) console.log(HELP);
else {
  const rows = await report();
  const judged = options.smoke ? rows.map((row) => ({ ...row, target: null })) : rows;
  process.exitCode = printReport(reportOf("transport", judged), options.json);
}
