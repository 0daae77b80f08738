/** `npm run faults [-- NAME…]`: what an outage, a kill, a clock or a disk does to real processes, each beside its bound. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "#platform/clock.ts";
import { parseOptions } from "#test/bench/options.ts";
import { printReport, type Row, reportOf } from "#test/bench/report.ts";
import { makeGround } from "#test/end-to-end/fleet.ts";
import { appliedOnce } from "./applied-once.ts";
import { changesWhileAway } from "./changes-while-away.ts";
import { clocks } from "./clocks.ts";
import { coldStarts } from "./cold-start.ts";
import { corruptStore } from "./corrupt-store.ts";
import { diskFull } from "./disk-full.ts";
import { describeFinding, type Fault, type Finding, isWithin } from "./fault.ts";
import { kills } from "./kills.ts";
import { linksLost } from "./link-lost.ts";
import { oldBackup } from "./old-backup.ts";
import { relayKilled } from "./relay-killed.ts";
import { watchRelayLost } from "./watch-relay-lost.ts";

const FAULTS: readonly Fault[] = [
  ...coldStarts,
  ...linksLost,
  changesWhileAway,
  appliedOnce,
  kills,
  oldBackup,
  corruptStore,
  diskFull,
  ...clocks,
  relayKilled,
  ...watchRelayLost,
];
const MISUSED = 2;
const LOG_LINES_SHOWN = 12;

const HELP = `npm run faults [-- NAME… options]: each fault done to real processes, measured beside its bound
  --kills <count>  of the fault that kills again and again (20)
  --seed <number>  of what is random; printed, and given again it replays (a random one)
  --list           which faults there are
  --json           the last line only
  --help`;

const { values: options, positionals } = parseOptions(
  HELP,
  {
    kills: { type: "string", default: "20" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    list: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
  true,
);
const names: readonly string[] = positionals;

const say = (line: string): void => {
  if (!options.json) console.log(line);
};

const NAME_WIDTH = Math.max(...FAULTS.map(({ name }) => name.length));

interface Outcome {
  readonly kind: "passed" | "failed" | "skipped";
  readonly findings: readonly Finding[];
}

async function tryFault(fault: Fault): Promise<Outcome> {
  const { name } = fault;
  const lacking = fault.lacks?.();
  if (lacking !== undefined) {
    say(`SKIP  ${name.padEnd(NAME_WIDTH)} ${lacking}`);
    return { kind: "skipped", findings: [] };
  }
  const sinceMs = systemClock.monotonicMs();
  const notes: string[] = [];
  await using stack = new AsyncDisposableStack();
  const ground = makeGround({ teardown: (end) => stack.defer(async () => void (await end())) });
  const trial = { ...ground, kills: Number(options.kills), seed: Number(options.seed), note: noteTo(notes) };
  try {
    const findings = await fault.run(trial);
    const isOk = findings.length > 0 && findings.every(isWithin);
    const seconds = Math.round((systemClock.monotonicMs() - sinceMs) / 1000);
    const measured = findings.map(describeFinding).join(", ");
    say(`${isOk ? "ok   " : "FAIL "} ${name.padEnd(NAME_WIDTH)} ${measured}  [${seconds} s]`);
    if (!isOk) explain(notes, ground.folder);
    return { kind: isOk ? "passed" : "failed", findings };
  } catch (error) {
    say(`FAIL  ${name.padEnd(NAME_WIDTH)} ${error instanceof Error ? error.message : String(error)}`);
    explain([...notes, error instanceof Error ? (error.stack ?? "") : ""], ground.folder);
    return { kind: "failed", findings: [] };
  }
}

function noteTo(notes: string[]): (line: string) => void {
  return (line) => void notes.push(line);
}

/** What was noted on the way, and the end of each program's log. */
function explain(notes: readonly string[], folder: string): void {
  for (const note of notes) say(`      ${note}`);
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".log"))) {
    const lines = readFileSync(join(folder, file), "utf8").trim().split("\n").slice(-LOG_LINES_SHOWN);
    say(`      ${file}:\n${lines.map((line) => `        ${line.slice(0, 600)}`).join("\n")}`);
  }
}

async function run(wanted: readonly Fault[]): Promise<number> {
  // What an installation keeps between starts; this machine's may hold anything.
  const compiled = mkdtempSync(join(tmpdir(), "perigee-compiled-"));
  process.once("exit", () => rmSync(compiled, { recursive: true, force: true }));
  process.env["NODE_COMPILE_CACHE"] = compiled;
  say(`seed ${options.seed}`);
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const rows: Row[] = [];
  for (const fault of wanted) {
    const { kind, findings } = await tryFault(fault);
    counts[kind] += 1;
    rows.push(...findings.map((finding) => rowOf(fault, finding)));
  }
  if (options.json) printReport(reportOf("faults", rows), true);
  const { passed, failed, skipped } = counts;
  say(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

function rowOf({ name }: Fault, { what, value, unit, bound }: Finding): Row {
  const row = `${name} ${what}`.replaceAll(/[ -]/g, "_");
  return { row, value: Math.round(value), unit, baseline: null, target: bound };
}

const unknown = names.filter((name) => !FAULTS.some((fault) => fault.name === name));
if (options.help) console.log(HELP);
else if (options.list) for (const { name, what } of FAULTS) console.log(`${name.padEnd(NAME_WIDTH)}  ${what}`);
else if (unknown.length > 0) {
  console.error(`there is no fault ${unknown.join(", ")}\n\n${HELP}`);
  process.exitCode = MISUSED;
} else process.exitCode = await run(FAULTS.filter(({ name }) => names.length === 0 || names.includes(name)));
