/** How long the event loop stands still while a tag of very many responses is purged, in memory and on disk. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "#platform/clock.ts";
import type { Row } from "#test/bench/report.ts";
import { madeKey, NO_FIELDS, SITE } from "./made-responses.ts";
import { fill, openStore } from "./opened-store.ts";

const PAUSE_MS = 50;
const IDLE_MS = 1_000;

/** Without the time in which the thread could have run and the machine ran others. */
interface Pauses {
  /** Longer than `PAUSE_MS`. */
  count: number;
  longestMs: number;
  /** With that time. */
  longestWallMs: number;
}

/** Time that this thread waited for a processor (Linux, Documentation/scheduler/sched-stats.rst). */
function withheldMs(): number {
  return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, "utf8").split(" ")[1]) / 1e6;
}

/** Turns of the event loop without a break, each of them timed, until `work` is done. */
async function pausesDuring(work: Promise<unknown>): Promise<Pauses> {
  const pauses = { count: 0, longestMs: 0, longestWallMs: 0 };
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  await new Promise<void>((resolve) => {
    let last = { atMs: systemClock.monotonicMs(), withheldMs: withheldMs() };
    const turn = () => {
      const now = { atMs: systemClock.monotonicMs(), withheldMs: withheldMs() };
      const wallMs = now.atMs - last.atMs;
      const ownMs = wallMs - (now.withheldMs - last.withheldMs);
      pauses.longestMs = Math.max(pauses.longestMs, ownMs);
      pauses.longestWallMs = Math.max(pauses.longestWallMs, wallMs);
      if (ownMs > PAUSE_MS) pauses.count += 1;
      last = now;
      if (isDone) resolve();
      else setImmediate(turn);
    };
    turn();
  });
  await done;
  return pauses;
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
    const name = `purge_${soft ? "soft" : "hard"}_${objects}`;
    rows.push(
      {
        row: `${name}_pauses_over_${PAUSE_MS}_ms`,
        value: pauses.count,
        unit: "pauses",
        baseline: idle.count,
        target: 0,
      },
      {
        row: `${name}_longest_pause`,
        value: rounded(pauses.longestMs),
        unit: "ms",
        baseline: rounded(idle.longestMs),
        target: null,
      },
      {
        row: `${name}_longest_pause_withheld_too`,
        value: rounded(pauses.longestWallMs),
        unit: "ms",
        baseline: rounded(idle.longestWallMs),
        target: null,
      },
      { row: `${name}_call`, value: rounded(atOnceMs), unit: "ms", baseline: null, target: PAUSE_MS },
      {
        row: `${name}_swept_after`,
        value: rounded(systemClock.monotonicMs() - beginMs),
        unit: "ms",
        baseline: null,
        target: null,
      },
    );
  }
  if (store.usage().objects !== 0) throw new Error(`${store.usage().objects} are left`);
  return rows;
}

const rounded = (value: number) => Math.round(value * 10) / 10;
