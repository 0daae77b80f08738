/** What every benchmark says: its rows for people, and last one line of JSON with the machine and the commit. */
import { spawnSync } from "node:child_process";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";

export interface Row {
  readonly row: string;
  readonly value: number;
  readonly unit: string;
  /** What it is measured beside, in the same run. */
  readonly baseline: number | null;
  /** At most this, or at least this where `atLeast` is set; `null` where there is none yet. */
  readonly target: number | null;
  readonly atLeast?: boolean;
  /** Standard deviation over seeds, in the row's unit. */
  readonly sd?: number;
  /** What no rule can exceed, measured in the same run. */
  readonly oracle?: number;
  /** What the same model gave where it was defined: a row that does not give it again is missed. */
  readonly expected?: { readonly baseline?: number; readonly oracle?: number };
}

/** How far a model's baseline and oracle may be from what is expected, in the row's unit. */
const EXPECTED_TOLERANCE = 0.5;

interface ReportedRow extends Row {
  readonly met: boolean | null;
}

export interface Report {
  readonly name: string;
  readonly machine: string;
  readonly commit: string;
  readonly rows: readonly ReportedRow[];
}

const ROOT = join(import.meta.dirname, "..", "..");

export function reportOf(name: string, rows: readonly Row[]): Report {
  const judged = rows.map((row) => ({ ...row, met: judge(row) }));
  return { name, machine: machine(), commit: commit(), rows: judged };
}

function judge(row: Row): boolean | null {
  if (row.target === null) return null;
  const isReached = row.atLeast === true ? row.value >= row.target : row.value <= row.target;
  return isReached && isAsExpected(row);
}

function isAsExpected({ baseline, oracle, expected }: Row): boolean {
  const isNear = (value: number | null | undefined, aim: number | undefined) =>
    aim === undefined || (typeof value === "number" && Math.abs(value - aim) <= EXPECTED_TOLERANCE);
  return isNear(baseline, expected?.baseline) && isNear(oracle, expected?.oracle);
}

/** Answers the exit status: 1 where a target is missed. */
export function printReport(report: Report, isOnlyJson: boolean): number {
  if (!isOnlyJson) {
    console.log(`${report.name} on ${report.machine}, commit ${report.commit}`);
    for (const row of report.rows) console.log(`  ${describe(row)}`);
  }
  console.log(JSON.stringify(report));
  return report.rows.some(({ met }) => met === false) ? 1 : 0;
}

function describe(reported: ReportedRow): string {
  const { row, value, unit, baseline, target, met, sd, oracle, atLeast } = reported;
  const spread = sd === undefined ? "" : ` ± ${sd}`;
  const beside = baseline === null ? "" : `, beside ${baseline}`;
  const best = oracle === undefined ? "" : `, at best ${oracle}`;
  const bound = atLeast === true ? "at least" : "at most";
  const aim = target === null ? ", no target" : `, ${bound} ${target}: ${met === true ? "met" : "missed"}`;
  const strange = isAsExpected(reported) ? "" : `; the model is not as expected: ${JSON.stringify(reported.expected)}`;
  return `${row}: ${value}${spread} ${unit}${beside}${best}${aim}${strange}`;
}

function machine(): string {
  const all = cpus();
  const gibibytes = Math.round(totalmem() / 1024 ** 3);
  return `${all.length} x ${all[0]?.model.trim() ?? "processor"}, ${gibibytes} GiB, Node ${process.versions.node}`;
}

function commit(): string {
  const git = (...words: string[]) => spawnSync("git", words, { cwd: ROOT, encoding: "utf8" }).stdout?.trim() ?? "";
  const head = git("rev-parse", "--short", "HEAD");
  if (head === "") return "none";
  return git("status", "--porcelain", "--untracked-files=no") === "" ? head : `${head}-changed`;
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const high = sorted[Math.floor(middle)] ?? Number.NaN;
  return Number.isInteger(middle) ? ((sorted[middle - 1] ?? Number.NaN) + high) / 2 : high;
}

/** The same work every time: its CPU time says whether the machine is as fast as it was. */
export function calibrateMs(): number {
  const before = process.cpuUsage();
  let state = 1;
  for (let step = 0; step < 60_000_000; step += 1) state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
  const { user, system } = process.cpuUsage(before);
  return state < 0 ? 0 : (user + system) / 1000;
}
