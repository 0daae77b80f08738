/** `npm run soak`: half an hour of mixed load on one edge, and what it holds at rest early and late. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "#platform/clock.ts";
import { seededRandom } from "#platform/random.ts";
import { parseOptions } from "#test/bench/options.ts";
import { printReport, reportOf } from "#test/bench/report.ts";
import { atRest, describeHeld } from "./at-rest.ts";
import { startMeasuredEdge } from "./measured-edge.ts";
import { MixedLoad } from "./mixed-load.ts";
import { startOriginServer } from "./origin-server.ts";
import { type Held, rowsOf } from "./verdict.ts";

const MINUTE_MS = 60_000;
/** By then all that an edge keeps is there: both tiers are full, the engine has compiled what is hot. */
const EARLY_MINUTES = 5;
/** Both tiers are full before the early measurement and evict from then on. */
const MEMORY_BYTES = 16 * 1024 * 1024;
const DISK_BYTES = 48 * 1024 * 1024;

const HELP = `npm run soak -- [options]: mixed load on one edge process, what it holds after 5 minutes and at the end
  --minutes <count>      of load (30); memory is judged from 10 on
  --connections <count>  of user agents (16)
  --seed <number>        of what is asked for (1)
  --json                 the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  minutes: { type: "string", default: "30" },
  connections: { type: "string", default: "16" },
  seed: { type: "string", default: "1" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});

function say(line: string): void {
  if (!options.json) console.log(line);
}

async function measure(folder: string, minutes: number) {
  await using stack = new AsyncDisposableStack();
  const origin = stack.use(await startOriginServer());
  const tiers = ["--memory-bytes", String(MEMORY_BYTES), "--store", folder, "--disk-bytes", String(DISK_BYTES)];
  const edge = stack.use(await startMeasuredEdge(origin.port, tiers));
  const load = new MixedLoad(edge.port, seededRandom(Number(options.seed)));
  const partMinutes = Math.min(EARLY_MINUTES, minutes / 4);
  const taken: Held[] = [];
  for (let done = 0; done < minutes; done += partMinutes) {
    await load.run(Number(options.connections), systemClock.monotonicMs() + partMinutes * MINUTE_MS);
    const held = await atRest(() => edge.measure());
    taken.push(held);
    say(`after ${(done + partMinutes).toFixed(1)} min, ${load.asked} requests: ${describeHeld(held)}`);
  }
  return { taken, load };
}

async function run(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "perigee-soak-"));
  try {
    const minutes = Number(options.minutes);
    if (!(minutes > 0)) throw new Error(`--minutes must be above 0, got ${options.minutes}`);
    const { taken, load } = await measure(folder, minutes);
    const [early, late] = [taken[0], taken.at(-1)];
    if (early === undefined || late === undefined) throw new Error("nothing was measured");
    const isMemoryJudged = minutes >= 2 * EARLY_MINUTES;
    const rows = rowsOf({ early, late, wrongAnswers: load.wrong, isMemoryJudged });
    return printReport(reportOf(`soak of ${minutes} min, ${load.asked} requests`, rows), options.json);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (options.help) console.log(HELP);
else process.exitCode = await run();
