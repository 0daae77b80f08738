/** Judges what an edge held at rest, early and late in a long run of mixed load. Pure. */
import type { Row } from "#test/bench/report.ts";

/** What a process holds at rest, after a forced collection. */
export interface Held {
  /** Heap in use and what it holds outside. */
  readonly memoryMib: number;
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

export interface Judged {
  readonly early: Held;
  readonly late: Held;
  readonly wrongAnswers: number;
  /** Of a short run the edge has not yet all that it keeps when the early one is taken. */
  readonly isMemoryJudged: boolean;
}

/** The differences, for better or worse, with what they were early as the baseline. */
export function rowsOf({ early, late, wrongAnswers, isMemoryJudged }: Judged): readonly Row[] {
  const grownMib = Number(Math.abs(late.memoryMib - early.memoryMib).toFixed(2));
  return [
    {
      row: "memory_difference",
      value: grownMib,
      unit: "MiB",
      baseline: Number(early.memoryMib.toFixed(2)),
      target: isMemoryJudged ? GROWTH_MIB_MAX : null,
    },
    ...COUNTS.map((name): Row => {
      const difference = Math.abs(late[name] - early[name]);
      return { row: `${name}_difference`, value: difference, unit: name, baseline: early[name], target: 0 };
    }),
    { row: "wrong_answers", value: wrongAnswers, unit: "answers", baseline: null, target: 0 },
  ];
}

export function isSameCount(a: Held, b: Held): boolean {
  return COUNTS.every((name) => a[name] === b[name]);
}
