/** Model B″: a crowd comes to one city; and how long placement takes to be as good as before. */
import type { Row } from "#test/bench/report.ts";
import { equalCapacity, plannedField, ratesOf, runChurn, startPricing } from "./churn.ts";
import { planEdges, readCities } from "./cities.ts";
import { type ModelRun, rowOf, seedsOf, summarise } from "./model.ts";
import { type Rule, twoStep } from "./rules.ts";

const LOAD = 0.7;
const LIMIT_MS = 30;
const UNIT_SECONDS = 1200;
const RANK = 10;
const FACTOR = 10;
const FROM = 3;
const CROWD_SECONDS = 120;
const WINDOW_SECONDS = 10;
/** Seconds after the crowd that are looked at. */
const AFTER_SECONDS = 600;
const POINTS = 1;
const RECOVERY_SECONDS = 60;
/** A window of 10 seconds holds fifty arrivals, whose share is chance: windows are summed over runs. */
const RUNS = 240;

interface Windows {
  readonly before: number;
  /** By windows from the end of the crowd. */
  readonly after: readonly number[];
  /** From the crowd's start to the end of what is looked at. */
  readonly during: number;
}

export function modelBCrowd(run: ModelRun): Row[] {
  const cities = readCities(run.data);
  const edges = planEdges(cities);
  const rates = ratesOf(cities);
  const field = plannedField(cities, equalCapacity(edges.length, LOAD), edges);
  const cell = [...rates.keys()].sort((a, b) => (rates[b] ?? 0) - (rates[a] ?? 0))[RANK - 1] ?? 0;
  const crowd = { cell, factor: FACTOR, from: FROM, to: FROM + CROWD_SECONDS / UNIT_SECONDS };
  const seeds = run.isSmoke ? seedsOf(run) : Array.from({ length: RUNS }, (_, index) => index + 1);
  const measure = (start: (seed: number) => { rule: Rule; onTurn?: (arrivals: Float64Array) => void }): Windows =>
    windowsOf(seeds, crowd, (seed, onPlaced) => {
      runChurn({ ...{ field, rates, seed, limitMs: LIMIT_MS, crowd, onPlaced }, ...start(seed) });
    });
  const zeros = new Float64Array(edges.length);
  const plain = measure(() => ({ rule: twoStep(field, { limitMs: LIMIT_MS, priceMs: () => zeros }) }));
  const priced = measure((seed) => {
    const { priceMs, onTurn } = startPricing(field, { rates, seed: seed + 1000, limitMs: LIMIT_MS });
    return { rule: twoStep(field, { limitMs: LIMIT_MS, priceMs }), onTurn };
  });
  return [
    rowOf("B''_within_since_the_crowd", {
      ...{ unit: "%", atLeast: true, values: [priced.during], baseline: [plain.during] },
      target: Math.round(100 * plain.during) / 100,
    }),
    rowOf("B''_recovered_after", {
      ...{ unit: "s", values: [recoveredAfter(priced)], baseline: [recoveredAfter(plain)] },
      target: RECOVERY_SECONDS,
    }),
  ];
}

function windowsOf(
  seeds: readonly number[],
  crowd: { readonly from: number; readonly to: number },
  runOne: (seed: number, onPlaced: (at: number, isWithin: boolean) => void) => void,
): Windows {
  const count = AFTER_SECONDS / WINDOW_SECONDS;
  const all = new Float64Array(count);
  const within = new Float64Array(count);
  const before: number[] = [];
  const during: number[] = [];
  for (const seed of seeds) {
    runOne(seed, (at, isWithin) => {
      const value = isWithin ? 100 : 0;
      if (at >= crowd.from - 1 && at < crowd.from) before.push(value);
      if (at >= crowd.from && at < crowd.to + AFTER_SECONDS / UNIT_SECONDS) during.push(value);
      const window = Math.floor(((at - crowd.to) * UNIT_SECONDS) / WINDOW_SECONDS);
      if (window < 0 || window >= count) return;
      all[window] = (all[window] ?? 0) + 1;
      within[window] = (within[window] ?? 0) + value;
    });
  }
  return {
    before: summarise(before).mean,
    after: [...within].map((sum, window) => sum / (all[window] ?? 1)),
    during: summarise(during).mean,
  };
}

/** Seconds until a window is within a point of what was before, and so is the mean of all after it. */
function recoveredAfter({ before, after }: Windows): number {
  const isAsBefore = (value: number) => value >= before - POINTS;
  const window = after.findIndex((value, index) => isAsBefore(value) && isAsBefore(summarise(after.slice(index)).mean));
  return window < 0 ? AFTER_SECONDS : (window + 1) * WINDOW_SECONDS;
}
