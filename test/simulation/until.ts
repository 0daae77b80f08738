/** Waits in real time until a condition holds, for tests over real sockets; gives up after some seconds. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { systemClock } from "#platform/clock.ts";

const UNTIL_MS_MAX = 10_000;

export async function until(condition: () => boolean, what: string): Promise<void> {
  const limit = systemClock.deadline(UNTIL_MS_MAX);
  while (!condition()) {
    if (limit.aborted) throw new Error(`still not so after ${UNTIL_MS_MAX} ms: ${what}`);
    await nextTurn();
  }
}
