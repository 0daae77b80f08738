/** Model H: a vehicle on 5G, whose access hides which of three pools is the better one; printed, judged by nobody. */
import { join } from "node:path";
import { concludeMove, judgeReading, type PoolReading, settle } from "#domain/placement/stability.ts";
import { medianOf, type Row } from "#test/bench/report.ts";
import { type ModelRun, rowOf } from "./model.ts";
import { readRows } from "./recorded.ts";

const POOL_MS = [2, 8, 20] as const;
/** The nearest: nobody would notice another. */
const SLOWED_POOL = 0;
const SLOWED_MS = 40;
const SLOWED_SECONDS = 30;
const PERIOD_SECONDS = 120;
const LIMITS_MS = [30, 20, 10] as const;

interface Second {
  readonly second: number;
  /** The access network alone, in order. */
  readonly accessMs: readonly number[];
}

/** The pool for each second, chosen from the seconds before it. */
type Policy = (drive: readonly Second[], limitMs: number) => readonly number[];

export function runMoving(run: ModelRun): Row[] {
  const all = readDrives(run.data).filter((drive) => drive.length > 2);
  const drives = run.isSmoke ? all.slice(0, 1) : all;
  return LIMITS_MS.flatMap((limitMs) => {
    const scoresOf = (policy: Policy) => drives.map((drive) => score(drive, policy(drive, limitMs), limitMs));
    const [stable, chase, best] = [scoresOf(stay), scoresOf(follow), scoresOf(foresee)];
    return [
      rowOf(`H within ${limitMs} ms, beside chasing`, {
        ...{ unit: "%", atLeast: true, values: stable.map(({ within }) => within) },
        ...{ baseline: chase.map(({ within }) => within), oracle: best.map(({ within }) => within) },
      }),
      rowOf(`H switches a minute at ${limitMs} ms, beside chasing`, {
        ...{ unit: "switches", values: stable.map(({ switches }) => switches) },
        ...{ baseline: chase.map(({ switches }) => switches), oracle: best.map(({ switches }) => switches) },
      }),
    ];
  });
}

function readDrives(folder: string): Second[][] {
  const drives = new Map<string, Map<number, number[]>>();
  for (const [run = "", atMs, rttMs] of readRows(join(folder, "cicv5g_rtt_even_runs.csv"), ",").slice(1)) {
    const seconds = drives.get(run) ?? new Map<number, number[]>();
    drives.set(run, seconds);
    const second = Math.floor(Number(atMs) / 1000);
    seconds.set(second, [...(seconds.get(second) ?? []), Number(rttMs)]);
  }
  return [...drives.values()].map((seconds) =>
    [...seconds].map(([second, accessMs]) => ({ second, accessMs })).sort((a, b) => a.second - b.second),
  );
}

function pathMs(pool: number, second: number): number {
  const isSlowed = pool === SLOWED_POOL && second % PERIOD_SECONDS < SLOWED_SECONDS;
  return (POOL_MS[pool] ?? 0) + (isSlowed ? SLOWED_MS : 0);
}

/** Pools are measured one after the other, so that none sees what the access was to another. */
function readAt({ second, accessMs }: Second, rttLimitMs: number): PoolReading[] {
  return POOL_MS.map((_, pool) => {
    const samples = accessMs.filter((__, sample) => sample % POOL_MS.length === pool);
    const rttMs = samples.length === 0 ? Number.POSITIVE_INFINITY : medianOf(samples) + pathMs(pool, second);
    return { pool: `${pool}`, rttMs, rttLimitMs };
  });
}

function lowest(readings: readonly PoolReading[]): number {
  return readings.reduce((best, { rttMs }, pool) => (rttMs < (readings[best]?.rttMs ?? 0) ? pool : best), 0);
}

function stay(drive: readonly Second[], limitMs: number): number[] {
  let stability = settle(`${SLOWED_POOL}`, []);
  return drive.map((second) => {
    const chosen = Number(stability.pool);
    const step = judgeReading(stability, readAt(second, limitMs));
    stability = step.move === undefined ? step.stability : concludeMove(step.stability, { movedTo: step.move.to });
    return chosen;
  });
}

function follow(drive: readonly Second[], limitMs: number): number[] {
  const best = drive.map((second) => lowest(readAt(second, limitMs)));
  return [SLOWED_POOL, ...best.slice(0, -1)];
}

/** The best path of each second, by what only the model knows. */
function foresee(drive: readonly Second[]): number[] {
  return drive.map(({ second }) =>
    POOL_MS.reduce((best, _, pool) => (pathMs(pool, second) < pathMs(best, second) ? pool : best), 0),
  );
}

/** Of samples, in percent, and a minute. */
function score(
  drive: readonly Second[],
  chosen: readonly number[],
  limitMs: number,
): { within: number; switches: number } {
  let samples = 0;
  let within = 0;
  let switches = 0;
  drive.forEach(({ second, accessMs }, index) => {
    const pool = chosen[index] ?? 0;
    samples += accessMs.length;
    within += accessMs.filter((rttMs) => rttMs + pathMs(pool, second) <= limitMs).length;
    switches += index > 0 && pool !== chosen[index - 1] ? 1 : 0;
  });
  return { within: (100 * within) / samples, switches: (60 * switches) / drive.length };
}
