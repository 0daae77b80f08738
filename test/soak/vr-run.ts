/** `npm run soak:vr`: half an hour of VR sessions that come and go at one agent, and what its parent process holds early and late. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "#platform/clock.ts";
import { seededRandom } from "#platform/random.ts";
import { parseOptions } from "#test/bench/options.ts";
import { printReport, reportOf } from "#test/bench/report.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { FakeEdge, PoolWorld } from "#test/render-agent/pool-world.ts";
import { atRest, describeHeld } from "./at-rest.ts";
import { startMeasuredAgent } from "./measured-agent.ts";
import { type Held, rowsOf } from "./verdict.ts";
import { VrLoad } from "./vr-load.ts";

const MINUTE_MS = 60_000;
/** By then what is remembered of ended sessions, three minutes of them, is there, and the engine has compiled what is hot. */
const EARLY_MINUTES = 5;
const JUDGED_MINUTES_MIN = 8;
const SLOTS_MAX = 3;
const CLIENTS = 2;
const SCENE = new URL("../../deploy/one-machine/sample/scene/hall.json", import.meta.url);
const TINY = { name: "tiny", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 30 };

const HELP = `npm run soak:vr -- [options]: VR sessions come and go at an agent; what its parent holds after 5 minutes and at the end
  --minutes <count>   of sessions (30); memory is judged from ${JUDGED_MINUTES_MIN} on
  --seed <number>     of what clients do (1)
  --json              the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  minutes: { type: "string", default: "30" },
  seed: { type: "string", default: "1" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});

function furnish(world: PoolWorld): void {
  const needs = { gpuShareRatio: 0.3, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 1_000_000 };
  world.setResource("Node/gpu-1", { role: "agent", pool: "near", cordoned: false, draining: false });
  world.setResource("RenderApp/hall", { bundle: { site: "scenes", path: "/hall.json" }, needs, classes: [TINY] });
  world.publish("scenes", 1, { "/hall.json": readFileSync(SCENE) });
}

async function measure(folder: string, minutes: number) {
  await using stack = new AsyncDisposableStack();
  const world = await PoolWorld.open();
  furnish(world);
  const edge = stack.use(await FakeEdge.start("near-1", world));
  const agent = stack.use(startMeasuredAgent(world, edge, folder, SLOTS_MAX));
  await patiently(() => edge.status?.ready === true, "the agent is ready");
  const load = new VrLoad({ world, edge, agent }, seededRandom(Number(options.seed)));
  const partMinutes = Math.min(EARLY_MINUTES, minutes / 2);
  const taken: Held[] = [];
  for (let done = 0; done < minutes; done += partMinutes) {
    await load.run(CLIENTS, systemClock.monotonicMs() + Math.min(partMinutes, minutes - done) * MINUTE_MS);
    const held = await atRest(() => agent.measure());
    taken.push(held);
    const sessions = `${load.started} sessions, ${load.refused} refused, ${agent.processes().length} process`;
    if (!options.json)
      console.log(`after ${Math.min(minutes, done + partMinutes)} min, ${sessions}: ${describeHeld(held)}`);
  }
  return { taken, load, processes: agent.processes().length };
}

async function run(): Promise<number> {
  const minutes = Number(options.minutes);
  if (!(minutes > 0)) throw new Error(`--minutes must be above 0, got ${options.minutes}`);
  const folder = mkdtempSync(join(tmpdir(), "perigee-soak-vr-"));
  try {
    const { taken, load, processes } = await measure(folder, minutes);
    const [early, late] = [taken[0], taken.at(-1)];
    if (early === undefined || late === undefined) throw new Error("nothing was measured");
    const rows = [
      ...rowsOf({ early, late, wrongAnswers: load.wrong, isMemoryJudged: minutes >= JUDGED_MINUTES_MIN }),
      { row: "processes_left", value: processes - 1, unit: "beside the spare", baseline: null, target: 0 },
      { row: "sessions", value: load.started, unit: "sessions", baseline: null, target: 1, atLeast: true },
    ];
    return printReport(reportOf(`soak of ${minutes} min, ${load.started} VR sessions`, rows), options.json);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (options.help) console.log(HELP);
else {
  process.exitCode = await run();
  // The library of WebRTC has threads that may wait for what has ended.
  process.exit();
}
