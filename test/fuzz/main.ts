/** `npm run fuzz:lanes`: the fast lane beside node:http's parser, on so many requests of a seed. */

import { systemClock } from "#platform/clock.ts";
import { parseOptions } from "#test/bench/options.ts";
import { fuzzLanes } from "./lanes.ts";

const HELP = `npm run fuzz:lanes -- [options]: what the fast lane takes for a request, against node:http
  --cases <count>   (100000)
  --seed <number>   (1)
  --help`;

const { values } = parseOptions(HELP, {
  cases: { type: "string", default: "100000" },
  seed: { type: "string", default: "1" },
  help: { type: "boolean", default: false },
});

/** Of one seed each, so that a fault is found again within minutes. */
const PART_CASES = 100_000;

async function run(cases: number, seed: number): Promise<number> {
  const startedMs = systemClock.monotonicMs();
  const sum = { cases: 0, accepted: 0, simple: 0 };
  for (let part = 0; sum.cases < cases; part += 1) {
    const outcome = await fuzzLanes({ cases: Math.min(PART_CASES, cases - sum.cases), seed: seed + part });
    sum.cases += outcome.cases;
    sum.accepted += outcome.accepted;
    sum.simple += outcome.simple;
    for (const fault of outcome.faults) console.log(`--cases ${PART_CASES} --seed ${seed + part}: ${fault}`);
    if (outcome.faults.length > 0) return 1;
    if (part % 10 === 9) console.log(`${sum.cases} cases`);
  }
  const seconds = Math.round((systemClock.monotonicMs() - startedMs) / 1000);
  console.log(
    `${sum.cases} cases of seed ${seed}: ${sum.accepted} accepted (${sum.simple} simple), 0 faults, ${seconds} s`,
  );
  return 0;
}

if (values.help) console.log(HELP);
else process.exitCode = await run(Number(values.cases), Number(values.seed));
