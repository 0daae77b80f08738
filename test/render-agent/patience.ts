/** Waits in real time for what other processes bring about, leaving them the processor; gives up after most of a minute. */
import { systemClock } from "#platform/clock.ts";

const LOOK_MS = 10;
/** Shorter than what the test as a whole may take. */
const PATIENCE_MS_MAX = 45_000;

export async function patiently(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const limit = systemClock.deadline(PATIENCE_MS_MAX);
  while (!(await condition())) {
    if (limit.aborted) throw new Error(`still not so after ${PATIENCE_MS_MAX} ms: ${what}`);
    await systemClock.sleep(LOOK_MS);
  }
}
