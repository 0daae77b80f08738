/** The judge of a torture finds each way in which a log can break its word. */
import t from "tap";
import type { LogRow } from "../../log/resource-log.ts";
import { judge } from "./judge.ts";

const rowsOf = (...written: readonly (readonly [name: string, number: number])[]): readonly LogRow[] =>
  written.map(([name, number], index) => ({
    ...{ revision: index + 1, kind: "ContentPolicy", name, deleted: false },
    json: JSON.stringify({ spec: { sites: [`n${number}`] } }),
  }));
const writer = { halves: ["a", "b"], acknowledged: [{ number: 1, revisions: [1, 2] }] };
const sound = [
  ["a", 1],
  ["b", 1],
  ["a", 2],
  ["b", 2],
] as const;

t.test("a log that kept its word has no fault, and what nobody answered for is counted", async (t) => {
  const faults = { lost: 0, reordered: 0, twice: 0, halved: 0, gaps: 0 };
  t.same(judge(rowsOf(...sound), [writer]), { acknowledged: 1, unanswered_there: 1, ...faults });
});

t.test("each fault is found", async (t) => {
  const cases = {
    lost: rowsOf(["a", 3], ["b", 3]),
    reordered: rowsOf(...sound, ["a", 1], ["b", 1]),
    twice: rowsOf(...sound, ["a", 2], ["b", 2]),
    halved: rowsOf(...sound, ["a", 3]),
    gaps: rowsOf(...sound).filter(({ revision }) => revision !== 3),
  };
  for (const [fault, rows] of Object.entries(cases)) t.match(judge(rows, [writer]), { [fault]: 1 }, fault);
});
