/** The production store, opened for a benchmark. */
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import { openResponseStore, type ResponseStore } from "../../store/response-store.ts";
import { madeBody, madeHead } from "./made-responses.ts";

export function openStore(
  folder: string | undefined,
  limits: { disk: number; memory: number },
): Promise<ResponseStore> {
  const fail = (failure: Error) => {
    throw failure;
  };
  return openResponseStore({
    ...(folder === undefined ? {} : { folder }),
    diskBytesMax: limits.disk,
    memoryBytesMax: limits.memory,
    clock: systemClock,
    random: systemRandom,
    events: { lost: fail, notStored: fail, evicted: () => undefined, used: () => undefined },
  });
}

/** Some at once, as they come. */
export async function fill(store: ResponseStore, objects: number): Promise<void> {
  const atMs = systemClock.nowMs();
  const put = async (number: number) => {
    const storing = store.begin(madeHead(number, atMs), () => true);
    storing.write(madeBody(number));
    await storing.finish();
  };
  for (let from = 0; from < objects; from += 64)
    await Promise.all(Array.from({ length: Math.min(64, objects - from) }, (_, index) => put(from + index)));
}
