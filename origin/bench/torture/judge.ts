/** What a log has of what writers were told: lost, in another order, twice, or half of a pair. Pure. */
import type { LogRow } from "../../log/resource-log.ts";
import type { Acknowledged } from "./writers.ts";

export interface Written {
  readonly halves: readonly string[];
  readonly acknowledged: readonly Acknowledged[];
}

export interface Verdict {
  readonly acknowledged: number;
  /** Of writes that nobody answered for, those that are there. */
  readonly unanswered_there: number;
  readonly lost: number;
  /** A number after a higher one. */
  readonly reordered: number;
  readonly twice: number;
  readonly halved: number;
  /** Revisions that are missing or there twice. */
  readonly gaps: number;
}

export function judge(rows: readonly LogRow[], writers: readonly Written[]): Verdict {
  const byRevision = new Map(rows.map((row) => [row.revision, row]));
  const numbersOf = (name: string): readonly number[] => rows.filter((row) => row.name === name).map(numberIn);
  const sum = (of: (writer: Written) => number): number => writers.reduce((all, writer) => all + of(writer), 0);
  const isThere = ({ number, revisions }: Acknowledged, { halves }: Written): boolean =>
    halves.every((name, half) => {
      const row = byRevision.get(revisions[half] ?? 0);
      return row?.name === name && numberIn(row) === number;
    });
  const acknowledged = sum((writer) => writer.acknowledged.length);
  const written = sum(({ halves: [first = ""] }) => numbersOf(first).length);
  return {
    acknowledged,
    unanswered_there: written - acknowledged,
    lost: sum((writer) => writer.acknowledged.filter((said) => !isThere(said, writer)).length),
    reordered: sum(({ halves: [first = ""] }) => descents(numbersOf(first))),
    twice: sum(({ halves: [first = ""] }) => numbersOf(first).length - new Set(numbersOf(first)).size),
    halved: sum(({ halves: [first = "", second = ""] }) =>
      numbersOf(first).join() === numbersOf(second).join() ? 0 : 1,
    ),
    gaps: rows.filter(({ revision }, index) => revision !== index + 1).length,
  };
}

function descents(numbers: readonly number[]): number {
  return numbers.filter((number, index) => number < (numbers[index - 1] ?? 0)).length;
}

function numberIn({ json }: LogRow): number {
  const [, digits] = /"sites":\["n(\d+)"\]/.exec(json) ?? [];
  return Number(digits);
}
