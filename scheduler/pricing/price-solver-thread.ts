/** The thread that solves prices, one problem after the other: decisions are made meanwhile. */
import { parentPort } from "node:worker_threads";
import { solvePrices } from "#domain/placement/prices.ts";
import type { SolveAnswer, SolveQuestion } from "./price-solver.ts";

parentPort?.on("message", ({ problem, previous }: SolveQuestion) => {
  const before = process.threadCpuUsage();
  const solution = solvePrices(problem, previous);
  const { user, system } = process.threadCpuUsage(before);
  parentPort?.postMessage({ solution, cpuMs: (user + system) / 1000 } satisfies SolveAnswer);
});
