/** What a hit in memory costs of time, and what a response takes of memory beside what is counted for it. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { seededRandom } from "#platform/random.ts";
import type { Row } from "#test/bench/report.ts";
import { madeKey, NO_FIELDS } from "./made-responses.ts";
import { fill, openStore } from "./opened-store.ts";

const TOUCH_MICROSECONDS = 0.3;
const KEYS = 8192;
const ROUNDS = 5;
/** What is counted is what is taken: not a part of it. */
const TAKEN_RATIO = 1;

export async function measureMemory(objects: number, lookups: number): Promise<readonly Row[]> {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  const takenBytes = () => {
    if (typeof collect === "function") for (let time = 0; time < 3; time += 1) collect();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = takenBytes();
  await using store = await openStore(undefined, { disk: 0, memory: 1024 ** 3 });
  await fill(store, objects);
  const taken = takenBytes() - before;
  const counted = store.usage().bytes;
  const random = seededRandom(1);
  // Zipf's law, with the exponent 1.
  const keys = Array.from({ length: KEYS }, () => madeKey(Math.floor(objects ** random.ratio()) - 1));
  const best = (find: (key: string) => unknown) =>
    Math.min(...Array.from({ length: ROUNDS }, () => microsecondsOf(keys, lookups, find)));
  const used = best((key) => store.findInMemory(key, NO_FIELDS));
  const known = best((key) => store.has(key) || undefined);
  return [
    { row: "hit_touch", value: rounded(used - known), unit: "us", baseline: null, target: TOUCH_MICROSECONDS },
    { row: "hit_lookup_and_touch", value: rounded(used), unit: "us", baseline: rounded(known), target: null },
    {
      row: "memory_taken_by_counted",
      value: rounded(taken / counted),
      unit: "ratio",
      baseline: null,
      target: TAKEN_RATIO,
    },
    { row: "memory_counted_each", value: Math.round(counted / objects), unit: "bytes", baseline: null, target: null },
  ];
}

/** CPU time: what else runs on the machine counts by what it takes of the caches only. */
function microsecondsOf(keys: readonly string[], lookups: number, find: (key: string) => unknown): number {
  const before = process.threadCpuUsage();
  let found = 0;
  for (let count = 0; count < lookups; count += 1) {
    if (find(keys[count % keys.length] ?? "") !== undefined) found += 1;
  }
  const { user, system } = process.threadCpuUsage(before);
  if (found !== lookups) throw new Error(`${lookups - found} of ${lookups} are not in memory`);
  return (user + system) / lookups;
}

const rounded = (value: number) => Math.round(value * 1000) / 1000;
