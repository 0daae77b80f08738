/** Model G in a process of its own, whose memory is measured: one question comes, one answer goes. */
import { DemandForecast } from "#domain/placement/demand-forecast.ts";
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
const SPARE_FREE_RATIO = 0.05;
const SPARE_PRICE_FACTOR = 3;
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
    const pair = choose(of, { cell, free, limitMs, prices: prices ?? new Float64Array() });
    if (pair < 0) continue;
    const pool = of.pools[pair] ?? 0;
    free[pool] = (free[pool] ?? 0) - 1;
    if ((of.rttMs[pair] ?? 0) <= limitMs) within += 1;
  }
  const [coldMs = 0, ...warm] = cpuMs;
  return { ours: (100 * within) / of.sessions.length, coldMs, warmMsMax: Math.max(...warm) };
}

interface Choice {
  readonly cell: number;
  readonly free: Int32Array;
  readonly limitMs: number;
  readonly prices: Float64Array;
}

function choose({ pools, rttMs, capacity }: ScaleWorld, { cell, free, limitMs, prices }: Choice): number {
  let best = -1;
  let least = Number.POSITIVE_INFINITY;
  const end = (cell + 1) * CANDIDATES;
  let pair = cell * CANDIDATES;
  for (; pair < end && (rttMs[pair] ?? 0) <= limitMs; pair += 1) {
    const pool = pools[pair] ?? 0;
    const score = (rttMs[pair] ?? 0) + (prices[pool] ?? 0);
    if ((free[pool] ?? 0) > 0 && score < least) [best, least] = [pair, score];
  }
  if (best >= 0) return best;
  for (; pair < end; pair += 1) {
    const pool = pools[pair] ?? 0;
    const score = (rttMs[pair] ?? 0) + SPARE_PRICE_FACTOR * (prices[pool] ?? 0);
    if ((free[pool] ?? 0) > SPARE_FREE_RATIO * (capacity[pool] ?? 0) && score < least) [best, least] = [pair, score];
  }
  return best;
}

function boundOf(of: ScaleWorld, limitMs: number): number {
  const demand = new Float64Array(of.forecast.length);
  for (const cell of of.sessions) demand[cell] = (demand[cell] ?? 0) + 1;
  const problem = scaleProblem(of, { demand, free: of.capacity, limitMs });
  return (100 * maxFlow(problem)) / of.sessions.length;
}
