/** Model B: sessions come and go; nobody is refused, or whoever does not fit is. */
import type { Row } from "#test/bench/report.ts";
import { equalCapacity, plannedField, ratesOf, runChurn, startPricing } from "./churn.ts";
import { type Cities, planEdges, readCities } from "./cities.ts";
import { fluidBound } from "./fluid-bound.ts";
import { type ModelRun, rowOf, seedsOf } from "./model.ts";
import { greedy, twoStep } from "./rules.ts";

interface Reference {
  readonly load: number;
  readonly target: number;
  readonly rejecting: number;
  readonly expected: { readonly baseline: number; readonly oracle: number };
}

const REFERENCES: readonly Reference[] = [
  { load: 0.6, target: 93.8, rejecting: 94.0, expected: { baseline: 91.4, oracle: 94.6 } },
  { load: 0.8, target: 88.0, rejecting: 88.8, expected: { baseline: 68.3, oracle: 90.3 } },
  { load: 0.95, target: 79.0, rejecting: 80.8, expected: { baseline: 45.5, oracle: 82.4 } },
];
/** The limit that the targets are for, and two that are printed beside it. */
const LIMITS_MS = [30, 20, 10];
const TARGET_LIMIT_MS = 30;
const UNJUDGED_SEEDS = 6;

export async function modelB(run: ModelRun): Promise<Row[]> {
  const cities = readCities(run.data);
  const edges = planEdges(cities);
  const rows: Row[] = [];
  for (const limitMs of run.isSmoke ? [TARGET_LIMIT_MS] : LIMITS_MS) {
    for (const reference of REFERENCES) rows.push(...(await rowsOf(cities, edges, { reference, limitMs, run })));
  }
  return rows;
}

async function rowsOf(
  cities: Cities,
  edges: number[],
  { reference, limitMs, run }: { readonly reference: Reference; readonly limitMs: number; readonly run: ModelRun },
): Promise<Row[]> {
  const { load } = reference;
  const field = plannedField(cities, equalCapacity(edges.length, load), edges);
  const rates = ratesOf(cities);
  const isJudged = limitMs === TARGET_LIMIT_MS;
  const seeds = seedsOf(run, isJudged ? run.seeds : UNJUDGED_SEEDS);
  const measure = (isRejecting: boolean) =>
    seeds.map((seed) => {
      const pricing = startPricing(field, { rates, seed: seed + 1000, limitMs });
      const rule = twoStep(field, { limitMs, priceMs: pricing.priceMs, isRejecting });
      return runChurn({ ...{ field, rates, seed, limitMs, rule }, onTurn: pricing.onTurn });
    });
  const baseline = seeds.map((seed) => runChurn({ field, rates, seed, limitMs, rule: greedy(field) }).within);
  const oracle = [
    await fluidBound(field, rates, {
      limitMs,
      capacity: new Float64Array(edges.length).fill(6000 / load / edges.length),
    }),
  ];
  const placed = measure(false);
  const rejecting = measure(true);
  const name = `B_${100 * load}pct_within_${limitMs}ms`;
  const shared = { unit: "%", atLeast: true, baseline, oracle, ...(isJudged ? { expected: reference.expected } : {}) };
  return [
    rowOf(name, {
      ...shared,
      values: placed.map(({ within }) => within),
      target: isJudged ? reference.target : undefined,
    }),
    rowOf(`${name}_refused`, {
      unit: "%",
      values: placed.map(({ refused }) => refused),
      target: isJudged ? 0 : undefined,
    }),
    rowOf(`${name}_rejecting`, {
      ...{ ...shared, values: rejecting.map(({ within }) => within) },
      target: isJudged ? reference.rejecting : undefined,
    }),
  ];
}
