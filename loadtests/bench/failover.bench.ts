/** How long a person waits for pictures: at first, after the agent was killed, and after the edge: a whole fleet on one machine, a real browser. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import Type from "typebox";
import { Value } from "typebox/value";
import { type MachinePlan, planMachine } from "#deploy/one-machine/topology.ts";
import { systemClock } from "#platform/clock.ts";
import { parseOptions } from "#test/bench/options.ts";
import { medianOf, printReport, type Row, reportOf } from "#test/bench/report.ts";
import { launchChromium } from "#test/chromium/chromium.ts";
import { type Dev, freeOffset, pidsOf, startDev } from "#test/end-to-end/dev-process.ts";
import {
  type CameUp,
  describeComingUp,
  describeGaps,
  type Gaps,
  hasSlots,
  PARTS,
  readComingUp,
  watchGaps,
  watchHolders,
} from "#test/end-to-end/vr-parts.ts";
import { untilSo } from "#test/end-to-end/waiting.ts";

/** Until a picture is there again; of the first one, too. */
const PROMISED_MS = 1000;
const WAIT_MS_MAX = 60_000;
/** A session that is lost sooner counts as one that did not come up. */
const SETTLED_MS = 6_000;
const SMOKE_KILLS = 1;

const HELP = `npm run bench:failover -- [options]: from a kill -9 to the next picture, in Chromium, in the one-machine start
  --kills <count>    of agents, and so many of edges (5)
  --smoke            ${SMOKE_KILLS} of each: judged by nobody
  --json             the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  kills: { type: "string", default: "5" },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});

const stateSchema = Type.Object({ agent: Type.String(), pool: Type.String() });

interface Ground {
  readonly page: Page;
  readonly dev: Dev;
  readonly data: string;
  readonly plan: MachinePlan;
  readonly say: (text: string) => void;
}

interface Kills {
  readonly agents: CameUp[];
  readonly edgeGaps: Gaps[];
  /** The most that all agents together held of one session. */
  held: number;
}

async function open(stack: AsyncDisposableStack, say: Ground["say"]): Promise<Ground> {
  const folder = await mkdtemp(join(tmpdir(), "perigee-failover-"));
  stack.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const data = join(folder, "data");
  const portOffset = await freeOffset();
  const dev = await startDev({ teardown: (end) => void stack.defer(end) }, data, portOffset);
  const address = /^ *it, with a kill button +(\S+)$/m.exec(dev.lines.join("\n"))?.[1];
  if (address === undefined) throw new Error("no VR page is printed");
  const browser = stack.use(await launchChromium({ width: 480, height: 600 }));
  const page = await browser.context.newPage();
  page.setDefaultTimeout(WAIT_MS_MAX);
  const plan = planMachine({ data, networksFile: "unused", portOffset });
  await untilAllRender(plan);
  // Edges have told the scheduler of it by then.
  await systemClock.sleep(SETTLED_MS);
  await page.goto(address);
  return { page, dev, data, plan, say };
}

async function untilAllRender({ agents }: MachinePlan): Promise<void> {
  const look = () => Promise.all(agents.map(({ adminUrl }) => hasSlots(adminUrl)));
  await untilSo("all agents have slots", look, (all) => all.every(Boolean), { limitMs: WAIT_MS_MAX });
}

/** The session has run for a while, and there is somewhere else that it could. */
async function settled({ page, plan }: Ground): Promise<{ readonly agent: string; readonly pool: string }> {
  await systemClock.sleep(SETTLED_MS);
  await untilAllRender(plan);
  await page.waitForFunction("perigee.state().phase === 'running'");
  return Value.Parse(stateSchema, Value.Clean(stateSchema, await page.evaluate("perigee.state()")));
}

/** Ends it, and resolves when it is ready again and `until` has come. */
async function kill({ dev, data }: Ground, name: string, until: () => Promise<unknown>): Promise<void> {
  const pid = pidsOf(data).get(name);
  if (pid === undefined) throw new Error(`${name} has no process`);
  const isReady = new RegExp(`${name} is ready`);
  const starts = dev.notes.filter((note) => isReady.test(note)).length;
  process.kill(pid, "SIGKILL");
  await until();
  await dev.noted(isReady, starts + 1);
}

async function killAgent(ground: Ground, kills: Kills): Promise<void> {
  const { page, plan, say } = ground;
  const { agent } = await settled(ground);
  await using holders = watchHolders(plan.agents.map(({ adminUrl }) => adminUrl));
  await page.evaluate("void (window.grantedBefore = perigee.state().attempt)");
  await kill(ground, agent, async () => {
    await page.waitForFunction(
      "perigee.state().phase === 'running' && perigee.state().attempt > window.grantedBefore && perigee.statistics().comingUp.drawn !== undefined",
    );
    kills.held = Math.max(kills.held, holders.most);
  });
  const cameUp = await readComingUp(page);
  kills.agents.push(cameUp);
  say(`${agent} was killed: ${describeComingUp(cameUp)}`);
}

async function killEdge(ground: Ground, kills: Kills): Promise<void> {
  const { page, plan, say } = ground;
  const { pool } = await settled(ground);
  const edge = plan.edges.find(({ join }) => join?.pool === pool);
  if (edge === undefined) throw new Error(`pool ${pool} has no edge`);
  const gapsSeen = await watchGaps(page);
  await kill(ground, edge.name, () => systemClock.sleep(SETTLED_MS));
  const gaps = await gapsSeen();
  kills.edgeGaps.push(gaps);
  say(`${edge.name} was killed: the longest gap between pictures was ${describeGaps(gaps)}`);
}

function medianMs<T>(all: readonly T[], of: (one: T) => number): number {
  return Math.round(medianOf(all.map(of)));
}

function rowsOf(what: string, cameUp: readonly CameUp[], target: number | null): Row[] {
  const row = { unit: "ms", baseline: null };
  return [
    { ...row, row: what, value: medianMs(cameUp, ({ wholeMs }) => wholeMs), target },
    ...PARTS.map((part) => ({
      ...row,
      row: `${what}: ${part}`,
      value: medianMs(cameUp, (one) => one.partsMs[part]),
      target: null,
    })),
  ];
}

async function run(count: number): Promise<number> {
  const say = (text: string) => void (options.json || console.log(text));
  await using stack = new AsyncDisposableStack();
  const ground = await open(stack, say);
  const first = await readComingUp(ground.page);
  say(`the page was opened: ${describeComingUp(first)}`);
  const kills: Kills = { agents: [], edgeGaps: [], held: 0 };
  for (let done = 0; done < count; done += 1) {
    await killAgent(ground, kills);
    await killEdge(ground, kills);
  }
  const target = options.smoke ? null : PROMISED_MS;
  const report = reportOf(options.smoke ? "failover (smoke)" : "failover", [
    ...rowsOf("agent killed, to the next picture drawn", kills.agents, target),
    {
      row: "edge killed, the longest gap between pictures, beside how long the page itself stood still",
      ...{ value: medianMs(kills.edgeGaps, ({ longestMs }) => longestMs), unit: "ms", target },
      baseline: medianMs(kills.edgeGaps, ({ stoodMs }) => stoodMs),
    },
    ...rowsOf("the page's first picture", [first], target),
    {
      row: "held by all agents together while one is killed",
      value: kills.held,
      unit: "sessions",
      baseline: null,
      target: 1,
    },
  ]);
  return printReport(report, options.json);
}

if (options.help) console.log(HELP);
else process.exitCode = await run(options.smoke ? SMOKE_KILLS : Number(options.kills));
