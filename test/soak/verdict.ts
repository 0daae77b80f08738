/** Judges what an edge held at rest, early and late in a long run of mixed load. Pure. */
import type { Row } from "#test/bench/report.ts";

/** What a process holds at rest, after a forced collection. */
export interface Held {
  readonly heapMib: number;
  /** What the heap holds outside. */
  readonly externalMib: number;
  readonly residentMib: number;
  readonly descriptors: number;
  readonly sockets: number;
  /** That keep the process alive. */
  readonly timers: number;
  /** All that keeps it alive. */
  readonly resources: number;
}

export const COUNTS = ["descriptors", "sockets", "timers", "resources"] as const;
/** Caches of the engine come and go by this much; a leak of a hundred bytes a request is far more after half an hour. */
const GROWTH_MIB_MAX = 2;
/** Two readings one after the other that differ by no more are of memory at rest. */
const SETTLED_MIB = 64 / 1024;

export interface Judged {
  readonly early: Held;
  readonly late: Held;
  readonly wrongAnswers: number;
  /** Of a short run the edge has not yet all that it keeps when the early one is taken. */
  readonly isMemoryJudged: boolean;
}

export function memoryMibOf({ heapMib, externalMib }: Held): number {
  return heapMib + externalMib;
}

/** The differences, for better or worse, with what they were early as the baseline. */
export function rowsOf({ early, late, wrongAnswers, isMemoryJudged }: Judged): readonly Row[] {
  const grownMib = Number(Math.abs(memoryMibOf(late) - memoryMibOf(early)).toFixed(2));
  return [
    {
      row: "memory_difference",
      value: grownMib,
      unit: "MiB",
      baseline: Number(memoryMibOf(early).toFixed(2)),
      target: isMemoryJudged ? GROWTH_MIB_MAX : null,
    },
    ...COUNTS.map((name): Row => {
      const difference = Math.abs(late[name] - early[name]);
      return { row: `${name}_difference`, value: difference, unit: name, baseline: early[name], target: 0 };
    }),
    { row: "wrong_answers", value: wrongAnswers, unit: "answers", baseline: null, target: 0 },
  ];
}

export function isSameMemory(a: Held, b: Held): boolean {
  return Math.abs(memoryMibOf(a) - memoryMibOf(b)) <= SETTLED_MIB;
}

export function isSameCount(a: Held, b: Held): boolean {
  return COUNTS.every((name) => a[name] === b[name]);
}
