/** Model G in a process of its own, whose memory is measured: one question comes, one answer goes. */
import { DemandForecast } from "#domain/placement/demand-forecast.ts";
import { chooseTwoStep, NO_ENTRY } from "#domain/placement/two-step.ts";
import { PriceSolver } from "../../pricing/price-solver.ts";
import { maxFlow } from "./max-flow.ts";
import { CANDIDATES, makeScaleWorld, type ScaleWorld, scaleProblem } from "./scale-world.ts";

export interface ScaleQuestion {
  readonly data: string;
  readonly load: number;
  readonly seed: number;
  readonly limitMs: number;
}

export interface ScaleAnswer {
  readonly greedy: number;
  readonly ours: number;
  readonly bound: number;
  /** CPU time of the thread, of the first solve and of the longest one after it. */
  readonly coldMs: number;
  readonly warmMsMax: number;
  readonly residentMebibytes: number;
}

const SOLVES = 10;
/** The session's stay is longer than the run: what came does not age. */
const NEVER_AGES = 1e9;

process.once("message", (question: ScaleQuestion) => void answerTo(question));

async function answerTo(question: ScaleQuestion): Promise<void> {
  const world = makeScaleWorld(question.data, question.load, question.seed);
  const priced = await runPriced(world, question.limitMs);
  const residentMebibytes = process.resourceUsage().maxRSS / 1024;
  const answer: ScaleAnswer = {
    ...priced,
    greedy: runGreedy(world, question.limitMs),
    bound: boundOf(world, question.limitMs),
    residentMebibytes,
  };
  process.send?.(answer);
  process.disconnect();
}

function runGreedy({ capacity, pools, rttMs, sessions }: ScaleWorld, limitMs: number): number {
  const free = Int32Array.from(capacity);
  let within = 0;
  for (const cell of sessions) {
    for (let pair = cell * CANDIDATES; pair < (cell + 1) * CANDIDATES; pair += 1) {
      const pool = pools[pair] ?? 0;
      if ((free[pool] ?? 0) === 0) continue;
      free[pool] = (free[pool] ?? 0) - 1;
      if ((rttMs[pair] ?? 0) <= limitMs) within += 1;
      break;
    }
  }
  return (100 * within) / sessions.length;
}

async function runPriced({ ...of }: ScaleWorld, limitMs: number) {
  await using solver = new PriceSolver();
  const free = Int32Array.from(of.capacity);
  const forecast = new DemandForecast(of.forecast, NEVER_AGES);
  const arrivals = new Float64Array(of.forecast.length);
  const cpuMs: number[] = [];
  let prices: Float64Array | undefined;
  let within = 0;
  const turn = Math.ceil(of.sessions.length / SOLVES);
  for (const [index, cell] of of.sessions.entries()) {
    if (index % turn === 0) {
      if (index > 0) forecast.observe(arrivals, 1 / SOLVES);
      arrivals.fill(0);
      const coming = forecast.rates().map((rate) => rate * (1 - index / of.sessions.length));
      const solved = await solver.solve(scaleProblem(of, { demand: coming, free, limitMs }), prices);
      prices = solved.solution.priceMs;
      cpuMs.push(solved.cpuMs);
    }
    arrivals[cell] = (arrivals[cell] ?? 0) + 1;
    const row = { pools: of.pools, rttMs: of.rttMs, from: cell * CANDIDATES, to: (cell + 1) * CANDIDATES };
    const pair = chooseTwoStep(row, limitMs, { free, capacity: of.capacity, priceMs: prices });
    if (pair === NO_ENTRY) continue;
    const pool = of.pools[pair] ?? 0;
    free[pool] = (free[pool] ?? 0) - 1;
    if ((of.rttMs[pair] ?? 0) <= limitMs) within += 1;
  }
  const [coldMs = 0, ...warm] = cpuMs;
  return { ours: (100 * within) / of.sessions.length, coldMs, warmMsMax: Math.max(...warm) };
}

function boundOf(of: ScaleWorld, limitMs: number): number {
  const demand = new Float64Array(of.forecast.length);
  for (const cell of of.sessions) demand[cell] = (demand[cell] ?? 0) + 1;
  const problem = scaleProblem(of, { demand, free: of.capacity, limitMs });
  return (100 * maxFlow(problem)) / of.sessions.length;
}
