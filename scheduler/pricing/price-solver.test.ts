import t from "tap";
import { type PriceProblem, solvePrices } from "#domain/placement/prices.ts";
import { PriceSolver } from "./price-solver.ts";

const PROBLEM: PriceProblem = {
  firstOf: Uint32Array.of(0, 1, 3),
  pools: Uint16Array.of(0, 0, 1),
  rttMs: Float32Array.of(5, 4, 12),
  demand: Float64Array.of(40, 60),
  capacity: Float64Array.of(50, 100),
};

t.test("the thread gives what the solver gives", async (t) => {
  await using solver = new PriceSolver();
  const { solution } = await solver.solve(PROBLEM);
  t.same(solution, solvePrices(PROBLEM));
  const again = await solver.solve(PROBLEM, solution.priceMs);
  t.same(again.solution, solvePrices(PROBLEM, solution.priceMs));
});

t.test("one problem at a time", async (t) => {
  await using solver = new PriceSolver();
  const first = solver.solve(PROBLEM);
  await t.rejects(solver.solve(PROBLEM), { code: "overloaded" });
  await first;
});

t.test("a thread that fails is told, and another takes its place", async (t) => {
  await using solver = new PriceSolver();
  await t.rejects(solver.solve({ ...PROBLEM, firstOf: Uint32Array.of(0) }), { code: "unavailable" });
  const { solution } = await solver.solve(PROBLEM);
  t.ok(solution.priceMs.length === 2);
});
