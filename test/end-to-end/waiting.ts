/** Waits on real processes: asks again and again until the answer is as wanted, at most for a while. */
import { systemClock } from "#platform/clock.ts";

const UNTIL_MS_MAX = 40_000;
/** Asking without a pause would take the processor from the process that is waited for. */
const PAUSE_MS = 50;

export interface Patience {
  readonly limitMs?: number;
  readonly pauseMs?: number;
}

export async function untilSo<T>(
  what: string,
  look: () => Promise<T>,
  isWanted: (seen: T) => boolean,
  { limitMs = UNTIL_MS_MAX, pauseMs = PAUSE_MS }: Patience = {},
): Promise<T> {
  const limit = systemClock.deadline(limitMs);
  let last: unknown = "nothing";
  while (!limit.aborted) {
    try {
      const seen = await look();
      if (isWanted(seen)) return seen;
      last = seen;
    } catch (error) {
      last = error;
    }
    await systemClock.sleep(pauseMs);
  }
  const shown = last instanceof Error ? String(last) : JSON.stringify(last)?.slice(0, 1_000);
  throw new Error(`still not so after ${limitMs} ms: ${what}; last ${shown}`);
}
