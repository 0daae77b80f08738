/** What a process holds once nothing of it changes any more. */
import { systemClock } from "#platform/clock.ts";
import { type Held, isSameCount } from "./verdict.ts";

/** At rest once this has passed without a change; connections to the upstream are kept idle for some seconds. */
const QUIET_MS = 8_000;
const PAUSE_MS = 1_000;
const REST_MS_MAX = 90_000;
/** Nobody asks any more: waits until nothing changes, since connections and timers end by and by. */
export async function atRest(measure: () => Promise<Held>): Promise<Held> {
  const limit = systemClock.deadline(REST_MS_MAX);
  let last = await measure();
  let sinceMs = systemClock.monotonicMs();
  while (systemClock.monotonicMs() - sinceMs < QUIET_MS) {
    if (limit.aborted) throw new Error(`not at rest after ${REST_MS_MAX} ms: ${JSON.stringify(last)}`);
    await systemClock.sleep(PAUSE_MS);
    const now = await measure();
    if (!isSameCount(now, last)) sinceMs = systemClock.monotonicMs();
    last = now;
  }
  return last;
}

export function describeHeld({ memoryMib, residentMib, descriptors, sockets, timers, resources }: Held): string {
  const memory = `${memoryMib.toFixed(2)} MiB held, ${residentMib.toFixed(0)} MiB resident`;
  return `${memory}, ${descriptors} descriptors, ${sockets} sockets, ${timers} timers, ${resources} resources`;
}
