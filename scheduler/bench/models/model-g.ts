/** Model G: 10,000 nodes in 323 pools and 280,000 sessions, prices solved off the event loop. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Row } from "#test/bench/report.ts";
import { type ModelRun, rowOf, seedsOf } from "./model.ts";
import type { ScaleAnswer, ScaleQuestion } from "./scale-process.ts";

const REFERENCES = [
  { load: 0.8, target: 96.2, expected: { baseline: 89.7, oracle: 96.7 } },
  { load: 0.95, target: 87.0, expected: { baseline: 80.7, oracle: 88.0 } },
];
const LIMIT_MS = 30;
const SEEDS = 12;
const SOLVE_MS_TARGET = 500;
const MEBIBYTES_TARGET = 300;
const RUN_MS = 120_000;

export async function modelG(run: ModelRun): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { load, target, expected } of REFERENCES) {
    const answers: ScaleAnswer[] = [];
    for (const seed of seedsOf(run, SEEDS)) {
      answers.push(await ask({ data: run.data, load, seed, limitMs: LIMIT_MS }));
      run.say(`  ${100 * load} %, seed ${seed}: ${JSON.stringify(answers.at(-1))}`);
    }
    const of = (pick: (answer: ScaleAnswer) => number) => answers.map(pick);
    const name = `G_${100 * load}pct`;
    rows.push(
      rowOf(`${name}_within_${LIMIT_MS}ms`, {
        ...{ unit: "%", atLeast: true, target, expected },
        ...{ values: of(({ ours }) => ours), baseline: of(({ greedy }) => greedy), oracle: of(({ bound }) => bound) },
      }),
      rowOf(`${name}_solve_cold`, { unit: "ms CPU", values: of(({ coldMs }) => coldMs), target: SOLVE_MS_TARGET }),
      rowOf(`${name}_solve_again`, {
        unit: "ms CPU",
        values: of(({ warmMsMax }) => warmMsMax),
        target: SOLVE_MS_TARGET,
      }),
      rowOf(`${name}_resident`, {
        ...{ unit: "MiB", values: [Math.max(...of(({ residentMebibytes }) => residentMebibytes))] },
        target: MEBIBYTES_TARGET,
      }),
    );
  }
  return rows;
}

async function ask(question: ScaleQuestion): Promise<ScaleAnswer> {
  const child = fork(join(import.meta.dirname, "scale-process.ts"), { timeout: RUN_MS });
  child.send(question);
  const [answer]: ScaleAnswer[] = await once(child, "message", { signal: AbortSignal.timeout(RUN_MS) });
  if (answer === undefined) throw new TypeError("the process of model G gave no answer");
  return answer;
}
