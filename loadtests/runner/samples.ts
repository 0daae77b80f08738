/** Reads k6's CSV output and sums it up by second: what the report draws. Pure. */

export interface Second {
  /** Since the first request of the scenario. */
  readonly second: number;
  readonly requests: number;
  readonly failed: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

export interface Series {
  /** What was asked: the `name` that the script gave the requests. */
  readonly name: string;
  readonly seconds: readonly Second[];
  readonly requests: number;
  readonly failed: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

export interface Samples {
  /** Epoch milliseconds of second 0. */
  readonly startMs: number;
  readonly series: readonly Series[];
}

interface Sample {
  readonly atMs: number;
  readonly name: string;
  readonly durationMs: number;
  readonly isFailed: boolean;
}

/** A column k6 no longer writes is a fault of this reader, not an empty report. */
const COLUMNS = ["metric_name", "timestamp", "metric_value", "name", "expected_response"] as const;

/** Requests of setup and teardown carry no name of ours (k6 names them by their URL) and are left out. */
export function readSamples(lines: Iterable<string>): Samples {
  const samples = [...parseSamples(lines)];
  const startMs = samples.reduce((least, { atMs }) => Math.min(least, atMs), Number.POSITIVE_INFINITY);
  const byName = Map.groupBy(samples, ({ name }) => name);
  const series = [...byName].map(([name, of]) => seriesOf(name, of, startMs));
  return { startMs, series: series.toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
}

function* parseSamples(lines: Iterable<string>): Generator<Sample> {
  let columns: Readonly<Record<(typeof COLUMNS)[number], number>> | undefined;
  for (const line of lines) {
    if (line === "") continue;
    const fields = splitLine(line);
    if (columns === undefined) {
      columns = columnsOf(fields);
      continue;
    }
    const name = fields[columns.name] ?? "";
    if (fields[columns.metric_name] !== "http_req_duration" || name === "" || /^https?:/.test(name)) continue;
    yield {
      atMs: Number(fields[columns.timestamp]),
      name,
      durationMs: Number(fields[columns.metric_value]),
      isFailed: fields[columns.expected_response] === "false",
    };
  }
}

function columnsOf(header: readonly string[]) {
  const at = (name: (typeof COLUMNS)[number]): number => {
    const index = header.indexOf(name);
    if (index < 0) throw new Error(`k6's CSV has no column ${name}: it has ${header.join(", ")}`);
    return index;
  };
  return {
    metric_name: at("metric_name"),
    timestamp: at("timestamp"),
    metric_value: at("metric_value"),
    name: at("name"),
    expected_response: at("expected_response"),
  };
}

/** RFC 4180: fields may be quoted, and a quote in them is doubled. */
export function splitLine(line: string): readonly string[] {
  const fields = `${line},`.matchAll(/(?:"((?:[^"]|"")*)"|([^,]*)),/gy);
  return Array.from(fields, ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? "");
}

function seriesOf(name: string, samples: readonly Sample[], startMs: number): Series {
  const bySecond = Map.groupBy(samples, ({ atMs }) => Math.floor((atMs - startMs) / 1_000));
  const seconds = [...bySecond].map(([second, of]) => ({ second, ...summaryOf(of) }));
  return { name, seconds: seconds.toSorted((a, b) => a.second - b.second), ...summaryOf(samples) };
}

function summaryOf(samples: readonly Sample[]) {
  const durations = samples.map(({ durationMs }) => durationMs).toSorted((a, b) => a - b);
  return {
    requests: samples.length,
    failed: samples.filter(({ isFailed }) => isFailed).length,
    p50Ms: quantile(durations, 0.5),
    p95Ms: quantile(durations, 0.95),
    p99Ms: quantile(durations, 0.99),
  };
}

/** Nearest rank; the values are in ascending order. */
function quantile(sorted: readonly number[], ratio: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * ratio) - 1)] ?? Number.NaN;
}
