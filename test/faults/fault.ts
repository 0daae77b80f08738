/** What the file of a fault offers: what happens to real processes there, and what was measured beside its bounds. */
import type { Ground } from "#test/end-to-end/fleet.ts";

/** At most `bound`. What has to be so without a number is thrown where it is not. */
export interface Finding {
  /** Words for people, also the row's name. */
  readonly what: string;
  readonly value: number;
  readonly unit: "ms" | "count";
  readonly bound: number;
  /** Taken off the value: the machine gave this time to others, at each of its tries. */
  readonly withheldMs?: number;
}

export interface Trial extends Ground {
  /** Of the faults that kill again and again. */
  readonly kills: number;
  /** Of all that is random. */
  readonly seed: number;
  /** A line on the way. */
  note(line: string): void;
}

export interface Fault {
  readonly name: string;
  readonly what: string;
  /** What this machine lacks to try it; `undefined` where it lacks nothing. */
  readonly lacks?: () => string | undefined;
  readonly run: (trial: Trial) => Promise<readonly Finding[]>;
}

export function describeFinding({ what, value, unit, bound, withheldMs }: Finding): string {
  const of = unit === "count" ? "" : ` ${unit}`;
  const without =
    withheldMs === undefined ? "" : ` without the ${Math.round(withheldMs)} ms that a busy machine withheld`;
  return `${what} ${Math.round(value)}${of}${without} (bound ${bound}${of})`;
}

export const isWithin = ({ value, bound }: Finding): boolean => value <= bound;
