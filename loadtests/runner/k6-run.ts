/** Runs one scenario's script with k6 and gives what it measured. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { PLAN_VARIABLE } from "../plan.ts";
import type { Scenario } from "./arguments.ts";
import { readSamples, type Samples } from "./samples.ts";
import { readThresholds, type Threshold } from "./thresholds.ts";

/** The longest scenario is 90 s; its set-up and ends come on top. */
const RUN_MS_MAX = 240_000;
/** k6's own: every threshold was met; one was missed. */
const STATUS_MET = 0;
const STATUS_MISSED = 99;

export interface Measured {
  readonly scenario: Scenario;
  readonly thresholds: readonly Threshold[];
  readonly samples: Samples;
}

export interface K6Run {
  readonly executable: string;
  readonly scenario: Scenario;
  readonly planFile: string;
  /** For k6's outputs. */
  readonly folder: string;
  /** k6's own summary goes to standard output, or nowhere. */
  readonly isQuiet: boolean;
}

/** Throws where k6 could not run the script to its end. */
export async function runK6({ executable, scenario, planFile, folder, isQuiet }: K6Run): Promise<Measured> {
  const csv = join(folder, `${scenario}.csv`);
  const summary = join(folder, `${scenario}.json`);
  const script = join(import.meta.dirname, "..", "k6", `${scenario}.ts`);
  const words = ["run", "--quiet", "--no-usage-report", "--out", `csv=${csv}`, "--summary-export", summary, script];
  const child = spawn(executable, words, {
    stdio: ["ignore", isQuiet ? "ignore" : "inherit", "inherit"],
    env: { ...process.env, [PLAN_VARIABLE]: planFile, K6_CSV_TIME_FORMAT: "unix_milli", NO_COLOR: "1" },
    timeout: RUN_MS_MAX,
  });
  const [status] = await once(child, "exit");
  if (status !== STATUS_MET && status !== STATUS_MISSED) throw new Error(`k6 ended with ${status} in ${scenario}`);
  const thresholds = readThresholds(JSON.parse(readFileSync(summary, "utf8")));
  const lines: string[] = [];
  // Nearly all lines are of metrics that nobody draws.
  const wanted = /^(metric_name|http_req_duration),/;
  for await (const line of createInterface({ input: createReadStream(csv) })) if (wanted.test(line)) lines.push(line);
  return { scenario, thresholds, samples: readSamples(lines) };
}
