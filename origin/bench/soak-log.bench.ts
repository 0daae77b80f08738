/** A day's churn of the log on SQLite, one write after another without the pauses: do its files and its watches stay as they were? */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "#platform/clock.ts";
import { SQLITE_WAL_BYTES_MAX } from "#platform/sqlite/database.ts";
import { parseOptions } from "#test/bench/options.ts";
import { printReport, type Row, reportOf } from "#test/bench/report.ts";
import type { LocalLog, Write } from "../log/resource-log.ts";
import { openSqliteLog } from "../log/sqlite-log.ts";

/** A steering table each a minute is the most that the scheduler writes. */
const POOLS = 200;
/** One release, with the one that it supersedes, or one purge, with one that is forgotten, in so many seconds. */
const CONTENT_SECONDS = 4;
const RELEASES_KEPT = 400;
const PURGES_KEPT = 500;
/** The origin's default. */
const REVISIONS_KEPT = 10_000;
const HOUSEKEEPING_SECONDS = 300;
/** What a table of candidates is long. */
const TABLE_BYTES = 1_500;
const WATCHERS = 4;
/** A watcher goes away and resumes after so many rows: it misses none, and gets none twice. */
const RESUME_ROWS = 5_000;
const TENTHS = 10;

const HELP = `node origin/bench/soak-log.bench.ts [options]: a day of the log's churn, compressed
  --hours <number>  of churn at ${POOLS} steering tables a minute and a release or purge each ${CONTENT_SECONDS} s (24)
  --folder <path>   on the disk to be tried; a new folder in it (the system's temporary folder)
  --smoke           an hour, with a tenth of what is kept; times are printed, not judged
  --json            the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  hours: { type: "string", default: "24" },
  folder: { type: "string" },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});

const hours = options.smoke ? 1 : Number(options.hours);
const keptScale = options.smoke ? 0.1 : 1;
/** Before it is counted: what runs for the first time is slower. */
const WARM_SECONDS = 600;

interface Sample {
  readonly tenth: number;
  readonly databaseBytes: number;
  readonly walBytes: number;
}

interface Latency {
  readonly tenth: number;
  readonly ms: number;
}

const put = (kind: Write["kind"], name: string, bytes: number): Write => ({
  kind,
  name,
  render: (revision) => JSON.stringify({ kind, metadata: { name, resourceVersion: revision } }).padEnd(bytes, " "),
});
const drop = (kind: Write["kind"], name: string): Write => ({ kind, name, render: () => undefined });

/** The writes of one second: evenly spread over it and over pools. */
function* writesOf(second: number): Generator<readonly Write[]> {
  const perSecond = POOLS / 60;
  for (let table = Math.floor(second * perSecond); table < Math.floor((second + 1) * perSecond); table += 1)
    yield [put("SteeringTable", `pool-${table % POOLS}`, TABLE_BYTES)];
  if (second % CONTENT_SECONDS !== 0) return;
  const turn = second / CONTENT_SECONDS;
  const [kind, kept] = turn % 2 === 0 ? (["Release", RELEASES_KEPT] as const) : (["Purge", PURGES_KEPT] as const);
  const number = Math.floor(turn / 2);
  const oldest = number - kept * keptScale;
  yield [put(kind, `n${number}`, 400), ...(oldest >= 0 ? [drop(kind, `n${oldest}`)] : [])];
}

/** What was written when, by revision, for as long as a watcher has not given it. */
class Watching {
  readonly latencies: Latency[] = [];
  /** A revision that did not come after the one before it. */
  outOfOrder = 0;
  readonly #log: LocalLog;
  readonly #stopping = new AbortController();
  readonly #writtenAtMs = new Map<number, { readonly tenth: number; readonly atMs: number }>();
  readonly #cursors: number[] = [];

  constructor(log: LocalLog) {
    this.#log = log;
  }

  start(): readonly Promise<void>[] {
    return Array.from({ length: WATCHERS }, (_, index) => this.#follow(index));
  }

  stop(): void {
    this.#stopping.abort();
  }

  /** Of the newest row of each write. */
  expect(revision: number, tenth: number, atMs: number): void {
    this.#writtenAtMs.set(revision, { tenth, atMs });
  }

  get slowest(): number {
    return Math.min(...this.#cursors);
  }

  async #follow(index: number): Promise<void> {
    const { signal } = this.#stopping;
    this.#cursors[index] = this.#log.revision();
    while (!signal.aborted) {
      let given = 0;
      for await (const event of this.#log.watch(this.#cursors[index] ?? 0, signal)) {
        if (event.kind === "bookmark") continue;
        this.#take(index, event.row.revision);
        given += 1;
        if (given === RESUME_ROWS) break;
      }
    }
  }

  #take(index: number, revision: number): void {
    if (revision !== (this.#cursors[index] ?? 0) + 1) this.outOfOrder += 1;
    this.#cursors[index] = revision;
    if (index !== WATCHERS - 1) return;
    // The last to be woken: all have it now.
    const written = this.#writtenAtMs.get(revision);
    if (written === undefined) return;
    this.latencies.push({ tenth: written.tenth, ms: systemClock.monotonicMs() - written.atMs });
    this.#writtenAtMs.delete(revision);
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

async function soak(path: string, seconds: number, say: (line: string) => void) {
  using log = openSqliteLog(path);
  const watching = new Watching(log);
  const following = watching.start();
  const samples: Sample[] = [];
  const writing: Latency[] = [];
  for (let second = 0; second < WARM_SECONDS + seconds; second += 1) {
    const tenth = Math.floor(((second - WARM_SECONDS) * TENTHS) / seconds);
    for (const writes of writesOf(second)) {
      const begunMs = systemClock.monotonicMs();
      const revision = log.write(writes).at(-1)?.revision ?? 0;
      const atMs = systemClock.monotonicMs();
      writing.push({ tenth, ms: atMs - begunMs });
      // From the commit on: what the disk takes for that stands beside it.
      watching.expect(revision, tenth, atMs);
      await turn();
    }
    if (second % HOUSEKEEPING_SECONDS !== HOUSEKEEPING_SECONDS - 1) continue;
    log.compact(Math.max(log.compactedRevision(), log.revision() - REVISIONS_KEPT * keptScale));
    samples.push({ tenth, databaseBytes: statSync(path).size, walBytes: statSync(`${path}-wal`).size });
    if (second % (HOUSEKEEPING_SECONDS * 12) === HOUSEKEEPING_SECONDS * 12 - 1)
      say(`${Math.round(second / 3600)} h: revision ${log.revision()}, ${samples.at(-1)?.databaseBytes} bytes`);
  }
  while (watching.slowest < log.revision()) await turn();
  watching.stop();
  await Promise.all(following);
  return {
    samples,
    writing,
    latencies: watching.latencies,
    outOfOrder: watching.outOfOrder,
    revisions: log.revision(),
  };
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

const rounded = (value: number) => Math.round(value * 1000) / 1000;

function report({ samples, writing, latencies, outOfOrder, revisions }: Awaited<ReturnType<typeof soak>>): number {
  const quantileIn = (all: readonly Latency[], tenth: number, share: number) =>
    quantile(
      all.filter((latency) => latency.tenth === tenth).map(({ ms }) => ms),
      share,
    );
  const latencyIn = (tenth: number, share: number) => quantileIn(latencies, tenth, share);
  const largestIn = (tenths: readonly number[]) =>
    Math.max(...samples.filter(({ tenth }) => tenths.includes(tenth)).map(({ databaseBytes }) => databaseBytes));
  const row = (
    name: string,
    value: number,
    unit: string,
    target: number | null = null,
    baseline: number | null = null,
  ): Row => {
    return { row: name, value: rounded(value), unit, baseline: baseline === null ? null : rounded(baseline), target };
  };
  const last = TENTHS - 1;
  // An hour's tenth is half a second of writing: too short to be judged by time.
  const shares = [
    { name: "p50", share: 0.5, ratioMax: options.smoke ? null : 1.25 },
    { name: "p99", share: 0.99, ratioMax: options.smoke ? null : 2 },
  ];
  const rows = [
    row("revisions", revisions, "count"),
    row("rows_a_watcher_missed_or_got_twice", outOfOrder, "count", 0),
    // All that is kept is there by half of the day; the second half adds nothing.
    row("database_largest_in_last_tenth", largestIn([last]), "bytes", largestIn([4, 5]) * 1.05, largestIn([4, 5])),
    row("wal_largest", Math.max(...samples.map(({ walBytes }) => walBytes)), "bytes", SQLITE_WAL_BYTES_MAX),
    row("write_p50_last_tenth", quantileIn(writing, last, 0.5), "ms", null, quantileIn(writing, 0, 0.5)),
    ...shares.flatMap(({ name, share, ratioMax }) => [
      row(`watch_latency_${name}_last_tenth`, latencyIn(last, share), "ms", null, latencyIn(0, share)),
      row(`watch_latency_${name}_ratio`, latencyIn(last, share) / latencyIn(0, share), "ratio", ratioMax),
    ]),
  ];
  return printReport(reportOf(options.smoke ? "soak:log (smoke)" : "soak:log", rows), options.json);
}

async function run(): Promise<number> {
  const say = (line: string) => {
    if (!options.json) console.log(line);
  };
  const folder = mkdtempSync(join(options.folder ?? tmpdir(), "perigee-soak-log-"));
  try {
    return report(await soak(join(folder, "log.sqlite"), hours * 3600, say));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (options.help) console.log(HELP);
else process.exitCode = await run();
