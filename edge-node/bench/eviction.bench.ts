/** Hit ratios of the store's eviction policy beside the field's, and beside what no policy can reach, on recorded requests. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "#platform/random.ts";
import { parseOptions } from "#test/bench/options.ts";
import { printReport, type Row, reportOf } from "#test/bench/report.ts";
import { boundOf } from "./eviction/bound.ts";
import { lruCache, s3FifoCache, sieveCache, wTinyLfuCache } from "./eviction/peers.ts";
import { gdsfCache, perigeeCache } from "./eviction/queue-caches.ts";
import { type Cache, type HitRatios, readTrace, replay, type Trace, traceOf } from "./eviction/trace.ts";

const HELP = `node edge-node/bench/eviction.bench.ts [options]: hit ratios by eviction policy
  --traces <folder>  with adaptsize-cdn.csv and cache2k-web07.csv: lines time,key,size below a head (../shared/data)
  --smoke            a short made-up trace: shows that it runs, measures nothing
  --json             the last line only
  --help`;

const ABSENT = `is absent. The traces are those of github.com/ben-manes/caffeine (simulator/src/main/resources: adaptsize, cache2k),
as lines "time,key,size" below a head; --traces says in which folder they are.`;

const { values: options } = parseOptions(HELP, {
  traces: { type: "string", default: join(import.meta.dirname, "..", "..", "..", "shared", "data") },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});

const PEERS: Readonly<Record<string, (capacityBytes: number) => Cache>> = {
  LRU: lruCache,
  SIEVE: sieveCache,
  "S3-FIFO": s3FifoCache,
  "W-TinyLFU": wTinyLfuCache,
  GDSF: gdsfCache,
};
const RIVALS = ["S3-FIFO", "W-TinyLFU", "GDSF"];
const CAPACITY_PERCENTS = [1, 10] as const;

/** Hit ratios that are to be beaten, or reached: what the best of the rivals, and for bytes LRU, have there. */
interface Target {
  readonly object: number;
  readonly byte?: number;
}

const TARGETS: Readonly<Record<string, Readonly<Record<(typeof CAPACITY_PERCENTS)[number], Target>>>> = {
  "adaptsize-cdn": { 1: { object: 0.2881, byte: 0.245 }, 10: { object: 0.3721, byte: 0.308 } },
  "cache2k-web07": { 1: { object: 0.438 }, 10: { object: 0.581 } },
};

function tracesOf(): readonly Trace[] {
  if (options.smoke) return [madeUp()];
  return Object.keys(TARGETS).map((name) => {
    const path = join(options.traces, `${name}.csv`);
    return readTrace(name, path);
  });
}

function absentTrace(): string | undefined {
  if (options.smoke) return undefined;
  return Object.keys(TARGETS)
    .map((name) => join(options.traces, `${name}.csv`))
    .find((path) => !existsSync(path));
}

function madeUp(): Trace {
  const random = seededRandom(1);
  const requests = Array.from({ length: 5000 }, () => {
    const object = Math.floor(1000 * random.ratio() ** 3);
    return [String(object), 100 + ((object * 7919) % 10_000)] as const;
  });
  return traceOf("made-up", requests);
}

const rounded = (ratio: number) => Math.round(ratio * 10_000) / 10_000;
const shown = ({ object, byte }: HitRatios) => `${object.toFixed(4)} / ${byte.toFixed(4)}`;

function measure(trace: Trace, percent: (typeof CAPACITY_PERCENTS)[number]): readonly Row[] {
  const capacityBytes = Math.floor((trace.footprintBytes * percent) / 100);
  const peers = Object.entries(PEERS).map(([name, make]) => ({ name, ratios: replay(trace, make(capacityBytes)) }));
  const ours = replay(trace, perigeeCache(capacityBytes));
  const bound = boundOf(trace, capacityBytes);
  if (!options.json) {
    const columns = [...peers, { name: "Perigee", ratios: ours }, { name: "bound", ratios: bound }];
    console.log(`${trace.name}, ${percent} % of ${trace.footprintBytes} bytes: object / byte hit ratio`);
    for (const { name, ratios } of columns) console.log(`  ${name.padEnd(10)} ${shown(ratios)}`);
  }
  const best = Math.max(...peers.filter(({ name }) => RIVALS.includes(name)).map(({ ratios }) => ratios.object));
  const lru = peers.find(({ name }) => name === "LRU")?.ratios.byte ?? 0;
  const target = TARGETS[trace.name]?.[percent];
  const name = `${trace.name.replaceAll("-", "_")}_${percent}pct`;
  return [
    missRow(`${name}_object_miss_ratio`, ours.object, { beside: best, target: target?.object }),
    missRow(`${name}_byte_miss_ratio`, ours.byte, { beside: lru, target: target?.byte }),
  ];
}

/** A report's targets are for what is to be low. */
function missRow(row: string, hitRatio: number, than: { beside: number; target: number | undefined }): Row {
  const target = than.target === undefined ? null : rounded(1 - than.target);
  return { row, value: rounded(1 - hitRatio), unit: "ratio", baseline: rounded(1 - than.beside), target };
}

function run(): number {
  const absent = absentTrace();
  if (absent !== undefined) {
    console.error(`${absent} ${ABSENT}`);
    return 1;
  }
  const rows = tracesOf().flatMap((trace) => CAPACITY_PERCENTS.flatMap((percent) => measure(trace, percent)));
  return printReport(reportOf(options.smoke ? "eviction (smoke)" : "eviction", rows), options.json);
}

if (options.help) console.log(HELP);
else process.exitCode = run();
