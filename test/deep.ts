/** `npm run deep -- SUITE…`: suites at their full depth, one after another; the machine, the commit, and a line for each. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { systemClock } from "#platform/clock.ts";
import { reportOf } from "./bench/report.ts";

const ROOT = join(import.meta.dirname, "..");
const LAST_LINE_CHARACTERS_MAX = 2_000;
/** What takes an interrupt for a wish gets this long to end. */
const END_MS_MAX = 10_000;

interface Suite {
  /** Of package.json, with its words. */
  readonly script: readonly string[];
  readonly minutesMax: number;
  readonly what: string;
}

const SUITES: Readonly<Record<string, Suite>> = {
  conformance: { script: ["conformance"], minutesMax: 10, what: "http-cache-tests 0.4.5 against the stand-alone edge" },
  "conformance-store": { script: ["conformance", "--store"], minutesMax: 10, what: "the same, storing on disk too" },
  behaviour: { script: ["behaviour"], minutesMax: 10, what: "concurrency, outages, ranges over real sockets" },
  faults: {
    script: ["faults", "--kills", "1000"],
    minutesMax: 120,
    what: "outages, clocks, disks, backups; edge and origin killed 1,000 times",
  },
  simulate: {
    script: ["simulate", "--seeds", "1000"],
    minutesMax: 20,
    what: "1,000 seeds of faults between an origin and its edges, on a virtual clock",
  },
  "torture-store": {
    script: ["torture:store", "--kills", "1000"],
    minutesMax: 30,
    what: "the store, killed 1,000 times",
  },
  "torture-reports": {
    script: ["torture:reports"],
    minutesMax: 60,
    what: "100,000 records upward, the edge killed 100 times",
  },
  "torture-log": {
    script: ["torture:log", "--kills", "200"],
    minutesMax: 40,
    what: "two origins on three members of etcd, killed 200 times",
  },
  "torture-ledger": {
    script: ["torture:ledger"],
    minutesMax: 15,
    what: "a million reservations in Redis from three schedulers, killed, with wrong clocks and bad ways",
  },
  "soak-log": { script: ["soak:log"], minutesMax: 60, what: "a day's churn of the log on SQLite" },
  fuzz: { script: ["fuzz:lanes", "--cases", "10000000"], minutesMax: 90, what: "10 million requests, both lanes" },
  "fuzz-dns": { script: ["fuzz:dns", "--cases", "10000000"], minutesMax: 30, what: "10 million DNS messages" },
  "fuzz-media": {
    script: ["fuzz:media", "--cases", "5000000"],
    minutesMax: 30,
    what: "5 million messages to VR sessions: signalling, fragments, poses, control",
  },
  soak: {
    script: ["soak", "--minutes", "30"],
    minutesMax: 45,
    what: "half an hour of mixed load: memory, descriptors",
  },
  "soak-vr": {
    script: ["soak:vr", "--minutes", "30"],
    minutesMax: 45,
    what: "half an hour of VR sessions that come and go at an agent: memory, processes, descriptors",
  },
  "bench-hit": { script: ["bench:hit"], minutesMax: 45, what: "CPU time of a hit beside nginx and Varnish" },
  "bench-eviction": {
    script: ["bench:eviction"],
    minutesMax: 30,
    what: "hit ratios beside other policies, recorded requests",
  },
  "bench-store": {
    script: ["bench:store"],
    minutesMax: 30,
    what: "index memory, start with a million objects, purge pauses",
  },
  "bench-memory": { script: ["bench:memory"], minutesMax: 10, what: "resident memory of an edge at rest" },
  "bench-sync": {
    script: ["bench:sync"],
    minutesMax: 20,
    what: "10,000 hollow edges on one origin: memory, idle bytes, changes, all back at once",
  },
  "bench-vr": {
    script: ["bench:vr"],
    minutesMax: 180,
    what: "pose to decoded picture of VR sessions in Chromium, by size and link, part by part",
  },
  "bench-transport": {
    script: ["bench:transport"],
    minutesMax: 15,
    what: "frames over a long and lossy link, by one connection and by several",
  },
  "bench-cold-start": {
    script: ["bench:cold-start"],
    minutesMax: 10,
    what: "first byte after a cold start without the cloud",
  },
};

const HELP = `npm run deep -- SUITE… | all: runs these suites at full depth; exits with 1 if one fails
  --list   which there are, and how long each may take
  --help`;

interface Ended {
  readonly isOk: boolean;
  readonly seconds: number;
  readonly lastLine: string;
  readonly log: string;
}

async function runSuite(name: string, { script, minutesMax }: Suite, folder: string): Promise<Ended> {
  const log = join(folder, `${name}.log`);
  const [first = "", ...words] = script;
  const sinceMs = systemClock.monotonicMs();
  // A group of its own, so that what npm starts ends with it.
  const child = spawn("npm", ["run", "--silent", first, "--", ...words], { cwd: ROOT, detached: true });
  const file = createWriteStream(log);
  for (const stream of [child.stdout, child.stderr]) stream.pipe(file, { end: false });
  const interrupted = () => endGroup(child);
  process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
  using _late = systemClock.timer(minutesMax * 60_000, interrupted);
  const [code] = await once(child, "close");
  process.off("SIGINT", interrupted).off("SIGTERM", interrupted);
  file.end();
  await once(file, "finish");
  const seconds = Math.round((systemClock.monotonicMs() - sinceMs) / 1000);
  return { isOk: code === 0, seconds, lastLine: lastLineOf(log), log };
}

function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  const signal = (name: NodeJS.Signals) => {
    try {
      process.kill(-pid, name);
    } catch {
      // It has ended.
    }
  };
  signal("SIGTERM");
  systemClock.timer(END_MS_MAX, () => signal("SIGKILL"));
}

function lastLineOf(log: string): string {
  const lines = stripVTControlCharacters(readFileSync(log, "utf8")).trim().split("\n");
  return (lines.at(-1) ?? "").slice(0, LAST_LINE_CHARACTERS_MAX);
}

function list(): void {
  for (const [name, { script, minutesMax, what }] of Object.entries(SUITES))
    console.log(
      `${name.padEnd(18)} at most ${String(minutesMax).padStart(2)} min  ${what} (npm run ${script.join(" ")})`,
    );
}

async function run(names: readonly string[]): Promise<number> {
  assertScripts(names);
  const { machine, commit } = reportOf("deep", []);
  const folder = mkdtempSync(join(tmpdir(), "perigee-deep-"));
  console.log(`commit ${commit} on ${machine}; logs in ${folder}`);
  let failed = 0;
  for (const name of names) {
    const suite = SUITES[name];
    if (suite === undefined) throw new Error(`${name} is one of them`);
    const { isOk, seconds, lastLine } = await runSuite(name, suite, folder);
    if (!isOk) failed += 1;
    console.log(`${isOk ? "ok  " : "FAIL"}  ${String(seconds).padStart(5)} s  ${name.padEnd(18)} ${lastLine}`);
  }
  console.log(`${names.length - failed} passed, ${failed} failed on commit ${commit}`);
  return failed === 0 ? 0 : 1;
}

/** npm says nothing of a script that is not there. */
function assertScripts(names: readonly string[]): void {
  const { scripts } = Object(JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")));
  const missing = names.filter((name) => !Object.hasOwn(Object(scripts), SUITES[name]?.script[0] ?? ""));
  if (missing.length > 0) throw new Error(`package.json has no script for ${missing.join(", ")}`);
}

const words = process.argv.slice(2);
const names = words.includes("all") ? Object.keys(SUITES) : words;
const unknown = names.filter((name) => !(name in SUITES));
if (words.includes("--list")) list();
else if (words.includes("--help")) console.log(HELP);
else if (names.length === 0 || unknown.length > 0) {
  console.error(`${unknown.length > 0 ? `there is no suite ${unknown.join(", ")}` : "no suite is named"}\n\n${HELP}`);
  process.exitCode = 2;
} else process.exitCode = await run(names);
