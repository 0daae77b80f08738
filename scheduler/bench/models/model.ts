/** What each model of the placement benchmark is given, and how its rows come from its seeds. */
import type { Row } from "#test/bench/report.ts";

export interface ModelRun {
  /** Folder of the recorded data. */
  readonly data: string;
  /** One run each; a model whose definition says more (200 splits, 12 or 20 seeds) takes that many unless this is a smoke. */
  readonly seeds: number;
  /** Shows that it runs: as little as possible of everything, judged by nobody. */
  readonly isSmoke: boolean;
  /** A line of progress on long work. */
  say(line: string): void;
}

export type Model = (run: ModelRun) => Promise<readonly Row[]> | readonly Row[];

/** From 1; at most `countMax` where more would say nothing that is judged. */
export function seedsOf({ seeds }: ModelRun, countMax = Number.POSITIVE_INFINITY): number[] {
  return Array.from({ length: Math.min(seeds, countMax) }, (_, index) => index + 1);
}

export interface Summary {
  readonly mean: number;
  readonly sd: number;
}

export function summarise(values: readonly number[]): Summary {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, sd: values.length < 2 ? 0 : Math.sqrt(squares / (values.length - 1)) };
}

export interface RowParts {
  readonly unit: string;
  readonly values: readonly number[];
  readonly baseline?: readonly number[] | undefined;
  readonly oracle?: readonly number[] | undefined;
  readonly target?: number | undefined;
  readonly atLeast?: boolean;
  readonly expected?: { readonly baseline?: number; readonly oracle?: number };
}

/** Means over seeds, rounded to hundredths. */
export function rowOf(row: string, parts: RowParts): Row {
  const { mean, sd } = summarise(parts.values);
  const meanOf = (values: readonly number[]) => rounded(summarise(values).mean);
  return {
    ...{ row, unit: parts.unit, value: rounded(mean), sd: rounded(sd) },
    baseline: parts.baseline === undefined ? null : meanOf(parts.baseline),
    target: parts.target ?? null,
    ...(parts.oracle === undefined ? {} : { oracle: meanOf(parts.oracle) }),
    ...(parts.atLeast === undefined ? {} : { atLeast: parts.atLeast }),
    ...(parts.expected === undefined ? {} : { expected: parts.expected }),
  };
}

export function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
