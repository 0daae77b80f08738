/** `npm run loadtest`: k6 against a running Perigee; a line for each threshold, an HTML report, and the result as JSON. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join, resolve } from "node:path";
import type { LoadPlan } from "./plan.ts";
import { HELP, readArguments, type Wish } from "./runner/arguments.ts";
import { prepareK6 } from "./runner/k6-binary.ts";
import { type Measured, runK6 } from "./runner/k6-run.ts";
import { type OneMachine, startOneMachine } from "./runner/one-machine.ts";
import { type OutageTimes, startOutageControl } from "./runner/outage-control.ts";
import { perigeeAt } from "./runner/perigee.ts";
import { renderReport } from "./runner/report.ts";
import { addSites, PUBLISHED, PULLED, startUpstream } from "./runner/sites.ts";
import { describeThreshold } from "./runner/thresholds.ts";

const ROOT = join(import.meta.dirname, "..");
const COLD_FILES = { smoke: 40, full: 130 } as const;
const RENDER_APP = "hall";
const WEB_ORIGIN = "http://loadtest.localhost";

const say = (line: string): void => console.error(line);

async function main(): Promise<number> {
  const wish = readArguments(process.argv.slice(2));
  if (wish.kind === "help") {
    console.log(HELP);
    return 0;
  }
  if (wish.kind === "wrong") {
    console.error(`${wish.message}\n\n${HELP}`);
    return 2;
  }
  const executable = prepareK6(ROOT, say);
  const folder = mkdtempSync(join(tmpdir(), "perigee-k6-"));
  try {
    const outage: OutageTimes = { beginMs: undefined, endMs: undefined };
    const measured = await measure(wish, { executable, folder, outage });
    return conclude(wish, measured, outage);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface MeasuringTools {
  readonly executable: string;
  readonly folder: string;
  readonly outage: OutageTimes;
}

async function measure(wish: Wish, { executable, folder, outage }: MeasuringTools): Promise<readonly Measured[]> {
  await using stack = new AsyncDisposableStack();
  const upstream = stack.use(await startUpstream());
  const machine: OneMachine | undefined =
    wish.target === undefined ? stack.use(await startOneMachine(ROOT, say)) : undefined;
  const { scheduler, contextFile } = machine ?? wish.target ?? {};
  if (scheduler === undefined || contextFile === undefined) throw new Error("a system is started or named");
  const control = stack.use(await startOutageControl(machine, outage));
  const perigee = perigeeAt(ROOT, contextFile);
  say("adding the sites of the run");
  const files = await addSites(perigee, upstream.url, wish.isSmoke ? COLD_FILES.smoke : COLD_FILES.full);
  const appToken = await perigee("app-token", "--app", RENDER_APP, "--web-origin", WEB_ORIGIN);
  const plan: LoadPlan = {
    scheduler,
    published: { ...PUBLISHED, ...files },
    pulled: PULLED,
    session: { app: RENDER_APP, appToken, webOrigin: WEB_ORIGIN },
    outageControl: control.url,
    isSmoke: wish.isSmoke,
    run: `r${Date.now().toString(36)}`,
  };
  const planFile = join(folder, "plan.json");
  writeFileSync(planFile, JSON.stringify(plan));
  const measured: Measured[] = [];
  for (const scenario of wish.scenarios) {
    say(`running ${scenario}`);
    measured.push(await runK6({ executable, scenario, planFile, folder, isQuiet: wish.isJson }));
  }
  return measured;
}

function conclude(wish: Wish, measured: readonly Measured[], outage: OutageTimes): number {
  const facts = { title: "Perigee under load", machine: machine(), commit: commit(), at: new Date().toISOString() };
  const folder = resolve(ROOT, wish.reportFolder);
  mkdirSync(folder, { recursive: true });
  const report = join(folder, wish.isSmoke ? "smoke.html" : "index.html");
  writeFileSync(report, renderReport({ ...facts, measured, outage }));
  const print = wish.isJson ? say : console.log;
  for (const { scenario, thresholds } of measured) {
    print(scenario);
    for (const threshold of thresholds) print(`  ${describeThreshold(threshold)}`);
  }
  print(`report ${report}`);
  const thresholds = measured.flatMap(({ scenario, thresholds: of }) => of.map((one) => ({ scenario, ...one })));
  const missed = thresholds.filter(({ isMet }) => !isMet).length;
  print(`${thresholds.length - missed} met, ${missed} missed`);
  if (wish.isJson) {
    const rows = thresholds.map(({ scenario, metric, condition, value, limit, isMet }) => ({
      row: `${scenario}: ${metric} ${condition}`,
      value: Number.isFinite(value) ? value : null,
      unit: condition.startsWith("rate") ? "ratio" : "ms",
      baseline: null,
      target: limit,
      met: isMet,
    }));
    console.log(JSON.stringify({ name: "loadtest", machine: facts.machine, commit: facts.commit, rows }));
  }
  return missed === 0 ? 0 : 1;
}

function machine(): string {
  const all = cpus();
  const gibibytes = Math.round(totalmem() / 1024 ** 3);
  return `${all.length} x ${all[0]?.model.trim() ?? "processor"}, ${gibibytes} GiB, Node ${process.versions.node}`;
}

function commit(): string {
  const { stdout } = spawnSync("git", ["rev-parse", "--short", "HEAD"], { cwd: ROOT, encoding: "utf8" });
  return stdout?.trim() || "none";
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 3;
}
