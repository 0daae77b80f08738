/** How long the event loop stands still while a tag of very many responses is purged, in memory and on disk. */
import { join } from "node:path";
import { systemClock } from "#platform/clock.ts";
import type { Row } from "#test/bench/report.ts";
import { madeKey, NO_FIELDS, SITE } from "./made-responses.ts";
import { fill, openStore } from "./opened-store.ts";

const PAUSE_MS = 50;
const IDLE_MS = 10_000;

/**
 * By the clock, as whoever waits for an answer has them; and by the processor time of the thread, which tells a turn that
 * works from one that waits for the disk or for a shared machine.
 */
interface Pauses {
  readonly work: Longest;
  readonly clock: Longest;
}

interface Longest {
  /** Longer than `PAUSE_MS`. */
  readonly count: number;
  readonly ms: number;
}

/** Turns of the event loop without a break, each of them timed, until `work` is done. */
async function pausesDuring(work: Promise<unknown>): Promise<Pauses> {
  let pauses: Pauses = { work: { count: 0, ms: 0 }, clock: { count: 0, ms: 0 } };
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  await new Promise<void>((resolve) => {
    let last = now();
    const turn = () => {
      const { clockMs, workMs } = now();
      pauses = { work: longer(pauses.work, workMs - last.workMs), clock: longer(pauses.clock, clockMs - last.clockMs) };
      last = { clockMs, workMs };
      if (isDone) resolve();
      else setImmediate(turn);
    };
    turn();
  });
  await done;
  return pauses;
}

function now(): { readonly clockMs: number; readonly workMs: number } {
  const { user, system } = process.threadCpuUsage();
  return { clockMs: systemClock.monotonicMs(), workMs: (user + system) / 1000 };
}

function longer({ count, ms }: Longest, gapMs: number): Longest {
  return { count: count + (gapMs > PAUSE_MS ? 1 : 0), ms: Math.max(ms, gapMs) };
}

export async function measurePurge(folder: string, objects: number): Promise<readonly Row[]> {
  await using store = await openStore(join(folder, "purged"), { disk: 8 * 1024 ** 3, memory: 1024 ** 3 });
  await fill(store, objects);
  const idle = await pausesDuring(systemClock.sleep(IDLE_MS));
  const purge = (soft: boolean) =>
    store.purge({ site: SITE, match: { kind: "tags", tags: ["all"] }, soft, atMs: systemClock.nowMs() + 1 });
  const rows: Row[] = [];
  for (const soft of [true, false]) {
    const beginMs = systemClock.monotonicMs();
    const swept = purge(soft);
    const atOnceMs = systemClock.monotonicMs() - beginMs;
    for (const number of [0, objects - 1]) {
      const found = await store.find(madeKey(number), NO_FIELDS);
      const isAsPurged = soft ? found?.freshness.alwaysValidate === true : found === undefined;
      if (!isAsPurged) throw new Error(`${madeKey(number)} is answered as it was before the purge`);
    }
    const pauses = await pausesDuring(swept);
    const of = (what: string, value: number, unit: string, baseline: number | null, target: number | null): Row => {
      return {
        row: `purge_${soft ? "soft" : "hard"}_${objects}_${what}`,
        value: rounded(value),
        unit,
        baseline,
        target,
      };
    };
    rows.push(
      of("longest_work_in_a_turn", pauses.work.ms, "ms", rounded(idle.work.ms), PAUSE_MS),
      of(`pauses_over_${PAUSE_MS}_ms_by_the_clock`, pauses.clock.count, "pauses", idle.clock.count, 0),
      of("longest_pause_by_the_clock", pauses.clock.ms, "ms", rounded(idle.clock.ms), null),
      of("call", atOnceMs, "ms", null, PAUSE_MS),
      of("swept_after", systemClock.monotonicMs() - beginMs, "ms", null, null),
    );
  }
  if (store.usage().objects !== 0) throw new Error(`${store.usage().objects} are left`);
  return rows;
}

const rounded = (value: number) => Math.round(value * 10) / 10;
