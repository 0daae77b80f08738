/** What a process holds once nothing of it changes any more. */
import { systemClock } from "#platform/clock.ts";
import { type Held, isSameCount, isSameMemory, memoryMibOf } from "./verdict.ts";

/** At rest once this has passed without a change; connections to the upstream are kept idle for some seconds. */
const QUIET_MS = 8_000;
const PAUSE_MS = 1_000;
const REST_MS_MAX = 90_000;
/** Nobody asks any more: waits until nothing changes, since connections and timers end by and by, and two readings agree. */
export async function atRest(measure: () => Promise<Held>): Promise<Held> {
  const limit = systemClock.deadline(REST_MS_MAX);
  let last = await measure();
  let sinceMs = systemClock.monotonicMs();
  let isSettled = false;
  while (!isSettled || systemClock.monotonicMs() - sinceMs < QUIET_MS) {
    if (limit.aborted) throw new Error(`not at rest after ${REST_MS_MAX} ms: ${JSON.stringify(last)}`);
    await systemClock.sleep(PAUSE_MS);
    const now = await measure();
    if (!isSameCount(now, last)) sinceMs = systemClock.monotonicMs();
    isSettled = isSameMemory(now, last);
    last = now;
  }
  return last;
}

export function describeHeld(held: Held): string {
  const { heapMib, externalMib, residentMib, descriptors, sockets, timers, resources } = held;
  const parts = `${heapMib.toFixed(2)} of heap, ${externalMib.toFixed(2)} external`;
  const memory = `${memoryMibOf(held).toFixed(2)} MiB held (${parts}), ${residentMib.toFixed(0)} MiB resident`;
  return `${memory}, ${descriptors} descriptors, ${sockets} sockets, ${timers} timers, ${resources} resources`;
}
