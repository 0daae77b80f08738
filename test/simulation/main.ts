/** `npm run simulate`: simulated runs by their seeds, on as many threads as there are cores; a failure says how to replay it. */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { systemClock } from "#platform/clock.ts";
import { type SimulationResult, simulate } from "./simulate.ts";

const HELP = `npm run simulate -- [--seeds N] [--from S] | --seed S  [--json]: origin, edges and pools under faults, on a virtual clock
  --seeds N   this many runs, one a seed (default 100)
  --from S    the first seed (default 1)
  --seed S    this run only, with all that happens in it
  --json      a JSON object a line: each run, then the sum`;

const THREADS_MAX = 4;
const SEED_MAX = 0xffff_ffff;

/** What a thread is given: it runs every `step`-th seed, so that no thread gets the long ones. */
interface Share {
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

type Told = { readonly result: SimulationResult } | { readonly seed: number; readonly error: string };

async function runShare({ from, to, step }: Share, tell: (told: Told) => void): Promise<void> {
  for (let seed = from; seed < to; seed += step) {
    try {
      tell({ result: await simulate({ seed }) });
    } catch (error) {
      tell({ seed, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  }
}

/** Resolves when the thread has run its share; a thread that dies names the runs it did not tell of. */
function runInThread(share: Share, tell: (told: Told) => void): Promise<void> {
  let next = share.from;
  return new Promise((resolve) => {
    const worker = new Worker(import.meta.filename, { workerData: share });
    const lost = (error: string): void => {
      for (; next < share.to; next += share.step) tell({ seed: next, error });
      resolve();
    };
    worker.on("message", (told: Told) => {
      next += share.step;
      tell(told);
    });
    worker.on("error", (error) => lost(error.stack ?? error.message));
    worker.on("exit", () => lost("its thread has ended before"));
  });
}

class Report {
  readonly #isJson: boolean;
  readonly #sinceMs = systemClock.monotonicMs();
  #virtualMs = 0;
  #steps = 0;
  passed = 0;
  failed = 0;

  constructor(isJson: boolean) {
    this.#isJson = isJson;
  }

  readonly take = (told: Told): void => {
    if ("error" in told) {
      this.failed += 1;
      this.#failure(told.seed, "threw", told.error);
      return;
    }
    const { result } = told;
    this.#virtualMs += result.virtualMs;
    this.#steps += result.steps;
    if (this.#isJson) console.log(JSON.stringify(result));
    if (result.violations.length === 0) {
      this.passed += 1;
      return;
    }
    this.failed += 1;
    for (const { invariant, what } of result.violations) this.#failure(result.seed, invariant, what);
  };

  end(): void {
    const seconds = (systemClock.monotonicMs() - this.#sinceMs) / 1000;
    const { passed, failed } = this;
    if (this.#isJson) {
      const seedsPerSecond = Number(((passed + failed) / seconds).toFixed(1));
      const virtualSeconds = Math.round(this.#virtualMs / 1000);
      console.log(JSON.stringify({ passed, failed, seconds, seedsPerSecond, virtualSeconds, steps: this.#steps }));
      return;
    }
    const hours = (this.#virtualMs / 3_600_000).toFixed(1);
    console.log(`${hours} simulated hours, ${this.#steps} steps, ${((passed + failed) / seconds).toFixed(1)} seeds/s`);
    console.log(`${passed} passed, ${failed} failed`);
  }

  #failure(seed: number, invariant: string, what: string): void {
    if (this.#isJson) console.log(JSON.stringify({ seed, invariant, what, replay: replayOf(seed) }));
    else console.log(`FAIL  seed ${seed}: ${invariant}: ${what}\n      ${replayOf(seed)}`);
  }
}

function replayOf(seed: number): string {
  return `npm run simulate -- --seed ${seed}`;
}

/** `undefined` where it is no whole number in the range. */
function wholeNumber(text: string, least: number): number | undefined {
  const value = Number(text);
  return Number.isInteger(value) && value >= least && value <= SEED_MAX ? value : undefined;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "100" },
      from: { type: "string", default: "1" },
      seed: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const [seeds, from, seed] = [
    wholeNumber(values.seeds, 1),
    wholeNumber(values.from, 0),
    wholeNumber(values.seed ?? "0", 0),
  ];
  if (seeds === undefined || from === undefined || seed === undefined) {
    console.error(`seeds are whole numbers from 0 to ${SEED_MAX}, and at least one is run\n\n${HELP}`);
    return 2;
  }
  const report = new Report(values.json);
  if (values.seed !== undefined) {
    const print = values.json ? {} : { print: (line: string) => console.log(line) };
    report.take({ result: await simulate({ seed, ...print }) });
  } else {
    const step = Math.min(THREADS_MAX, availableParallelism(), seeds);
    const shares = Array.from({ length: step }, (_, index) => ({ from: from + index, to: from + seeds, step }));
    await Promise.all(shares.map((share) => runInThread(share, report.take)));
  }
  report.end();
  return report.failed === 0 && report.passed > 0 ? 0 : 1;
}

if (isMainThread) process.exitCode = await main();
else {
  const share: Share = workerData;
  await runShare(share, (told) => parentPort?.postMessage(told));
}
