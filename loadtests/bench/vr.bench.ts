/** Remote-path latency of VR sessions, part by part: a real browser, real session processes, and links with delay and loss between. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeFolder } from "#platform/files/folder.ts";
import { fileReasonOf } from "#platform/files/reason.ts";
import { findVulkan, prepareVulkan } from "#render-agent/renderer/software-vulkan.ts";
import { parseOptions } from "#test/bench/options.ts";
import { printReport, type Row, reportOf } from "#test/bench/report.ts";
import { bundlePage, launchViewer } from "./vr/browser.ts";
import {
  describeSize,
  LOOPBACK,
  rowsOf,
  SIZES,
  type Size,
  sizeOf,
  targetOf,
  targetTogether,
  WAYS,
  type Way,
  wayOf,
} from "./vr/cases.ts";
import { mediansOf } from "./vr/measures.ts";
import { type CaseResult, type VrResult, writeResult } from "./vr/result.ts";
import { type Run, runQuietly, runTogether, type Scenery } from "./vr/runs.ts";
import { makeScene } from "./vr/scene.ts";
import { startTruth, type Truth } from "./vr/truth.ts";
import { startVrWorld, type VrWorld } from "./vr/world.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const TRIES_MAX = 3;
const PICTURES = 6;
const SMOKE_SECONDS = 2;
const MISUSED = 2;

const HELP = `npm run bench:vr -- [options]: pose to decoded picture, in Chromium, from real session processes
  --size <WxH,…>     an eye's pixels (${SIZES.map(({ name }) => name).join(", ")}: all); another as WxH@HZ: 1440x1600@72
  --rtt <ms>         only this link, with what of the next two is given; 0 is loopback (all links: ${WAYS.map(({ name }) => name).join("; ")})
  --jitter <ms>
  --loss <percent>
  --runs <count>     medians of so many, a new session each (5)
  --seconds <count>  watched of each run (20)
  --tries <count>    of a run, while the machine is less than 85 % idle before it or more than 5 % of it are stolen (${TRIES_MAX})
  --out <folder>     for vr.json, vr.md and vr.svg (reports/vr)
  --smoke            the smallest size, two links, ${SMOKE_SECONDS} s, one try: judged by nobody
  --json             the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  size: { type: "string", default: "" },
  rtt: { type: "string" },
  jitter: { type: "string" },
  loss: { type: "string" },
  runs: { type: "string", default: "5" },
  seconds: { type: "string", default: "20" },
  tries: { type: "string", default: String(TRIES_MAX) },
  out: { type: "string", default: join(ROOT, "reports", "vr") },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});

interface Plan {
  readonly sizes: readonly Size[];
  readonly ways: readonly Way[];
  readonly runs: number;
  readonly seconds: number;
  readonly tries: number;
  readonly isJudged: boolean;
}

/** Throws `TypeError` for a size that there is not, and for a number that is none. */
function planOf(): Plan {
  const numberOf = (name: "rtt" | "jitter" | "loss" | "runs" | "seconds" | "tries", least: number): number => {
    const value = Number(options[name] ?? 0);
    if (value >= least) return value;
    throw new TypeError(`--${name} is a number of at least ${least}, got ${options[name]}`);
  };
  const names = options.size === "" ? SIZES.map(({ name }) => name) : options.size.split(",");
  const sizes = names.map((name) => {
    const size = sizeOf(name);
    if (size !== undefined) return size;
    throw new TypeError(`there is no size ${name}: ${SIZES.map((known) => known.name).join(", ")}, or WxH@HZ`);
  });
  const isOneWay = [options.rtt, options.jitter, options.loss].some((given) => given !== undefined);
  const [rttMs, jitterMs, lossPercent] = [numberOf("rtt", 0), numberOf("jitter", 0), numberOf("loss", 0)];
  const isLoopback = rttMs + jitterMs + lossPercent === 0;
  const oneWay = isLoopback ? LOOPBACK : wayOf(rttMs, jitterMs, lossPercent);
  const ways = isOneWay ? [oneWay] : WAYS;
  const plan = { sizes, ways, runs: numberOf("runs", 1), seconds: numberOf("seconds", 1), tries: numberOf("tries", 1) };
  if (!options.smoke) return { ...plan, isJudged: true };
  const smoke = { sizes: sizes.slice(0, 1), ways: isOneWay ? ways : [LOOPBACK, wayOf(10, 0, 1)] };
  return { ...smoke, runs: 1, seconds: SMOKE_SECONDS, tries: 1, isJudged: false };
}

interface Ground {
  readonly plan: Plan;
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
  /** What the page is drawn with, where it is not SwiftShader: a GPU where the variable names its driver. */
  readonly driverFile: string | undefined;
  readonly truth: Truth;
  readonly say: (text: string) => void;
}

interface Measured {
  readonly cases: CaseResult[];
  readonly together: VrResult["together"][number][];
  readonly rows: Row[];
  readonly runs: Run[];
}

async function measureSize(ground: Ground, size: Size, measured: Measured): Promise<void> {
  for (const isLinked of [false, true]) {
    const ways = ground.plan.ways.filter(({ link }) => (link !== undefined) === isLinked);
    if (ways.length === 0) continue;
    const folder = await mkdtemp(join(ground.folder, "agent-"));
    await using world = await startVrWorld({
      ...{ folder, siteFolder: ground.folder, renderClass: renderClassOf(size), isLinked },
      ...{ scene: Buffer.from(JSON.stringify(makeScene())), environment: ground.environment },
    });
    await measureWays(ground, { size, ways, world }, measured);
  }
}

interface Place {
  readonly size: Size;
  readonly ways: readonly Way[];
  readonly world: VrWorld;
}

async function measureWays(ground: Ground, { size, ways, world }: Place, measured: Measured): Promise<void> {
  const { plan, driverFile, truth, say } = ground;
  const eye = { widthPixels: size.eyeWidthPixels, heightPixels: size.eyeHeightPixels };
  await using browser = await launchViewer(eye, driverFile);
  const usual: Scenery = { world, browser, truth, size, say, seconds: plan.seconds, pictures: PICTURES };
  for (const way of ways) {
    const place = `${describeSize(size)}, ${way.name}`;
    say(`${place}: detail ${world.detail ?? "not told"}`);
    if (way.link !== undefined) world.setLink(way.link);
    const secondsMin = plan.isJudged ? (way.secondsMin ?? 0) : 0;
    const scenery = { ...usual, seconds: Math.max(plan.seconds, secondsMin) };
    const runs: Run[] = [];
    while (runs.length < plan.runs) runs.push(await runQuietly(scenery, plan.tries));
    const medians = mediansOf(runs.map(({ measures }) => measures));
    const judge = plan.isJudged ? (measure: string) => targetOf(size, way, measure) : undefined;
    measured.rows.push(...rowsOf(place, medians, judge));
    measured.runs.push(...runs);
    measured.cases.push({ size: describeSize(size), way: way.name, detail: world.detail, medians, runs });
  }
  if (!ways.includes(LOOPBACK)) return;
  say(`${describeSize(size)}: several at once`);
  const { measures, refusal } = await runTogether(usual);
  const said = refusal === undefined ? undefined : `${refusal.code}: ${refusal.message}`;
  say(`  refused: ${said ?? "none"}`);
  measured.rows.push(
    ...rowsOf(`${describeSize(size)}, several at once`, measures, plan.isJudged ? targetTogether : undefined),
  );
  measured.together.push({ size: describeSize(size), measures, refusal: said });
}

function renderClassOf({ name, eyeWidthPixels, eyeHeightPixels, frameRateHz }: Size) {
  return { name, eyeWidthPixels, eyeHeightPixels, frameRateHz };
}

async function run(plan: Plan): Promise<number> {
  const say = (text: string) => void (options.json || console.log(text));
  const folder = await mkdtemp(join(tmpdir(), "perigee-bench-vr-"));
  try {
    const [choice = { kind: "swiftshader" } as const] = await findVulkan();
    const environment = await prepareVulkan(choice, join(ROOT, ".cache", "vulkan"));
    await using truth = await startTruth(environment);
    await bundlePage(folder);
    say(`Vulkan: ${choice.kind}, ${truth.adapterName}`);
    const measured: Measured = { cases: [], together: [], rows: [], runs: [] };
    const driverFile = choice.kind === "lavapipe" ? choice.driverFile : process.env["VK_DRIVER_FILES"];
    const ground = { plan, folder, environment, driverFile, truth, say };
    for (const size of plan.sizes) await measureSize(ground, size, measured);
    const quiet = measured.runs.filter(({ isQuiet }) => isQuiet).length;
    const quietRow = { row: "runs on a quiet machine", value: quiet, unit: "count", baseline: measured.runs.length };
    const rows: Row[] = [
      { ...quietRow, target: plan.isJudged ? measured.runs.length : null, atLeast: true },
      ...measured.rows,
    ];
    const driver = `${choice.kind}, ${truth.adapterName}`;
    const report = reportOf(plan.isJudged ? `vr (${driver})` : `vr (smoke, ${driver})`, rows);
    writeResult(options.out, { report, driver, cases: measured.cases, together: measured.together });
    return printReport(report, options.json);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function readPlan(): Plan | undefined {
  try {
    return planOf();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`${error.message}\n\n${HELP}`);
    return undefined;
  }
}

/** Before minutes of work whose result would have no place. */
async function hasOut(): Promise<boolean> {
  try {
    await makeFolder(options.out);
    return true;
  } catch (error) {
    console.error(`--out ${options.out} cannot be written: ${fileReasonOf(error)}`);
    return false;
  }
}

if (options.help) console.log(HELP);
else {
  const plan = readPlan();
  process.exitCode = plan === undefined || !(await hasOut()) ? MISUSED : await run(plan);
}
