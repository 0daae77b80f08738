/** `npm run fuzz:dns`: the DNS responder on so many messages of a seed. */
import { systemClock } from "#platform/clock.ts";
import { parseOptions } from "#test/bench/options.ts";
import { fuzzDns } from "./dns.ts";

const HELP = `npm run fuzz:dns -- [options]: whatever a message is, its answer is within bounds and read by another codec
  --cases <count>   (1000000)
  --seed <number>   (1)
  --help`;

const { values } = parseOptions(HELP, {
  cases: { type: "string", default: "1000000" },
  seed: { type: "string", default: "1" },
  help: { type: "boolean", default: false },
});

/** Of one seed each, so that a fault is found again within seconds. */
const PART_CASES = 100_000;

function run(cases: number, seed: number): number {
  const startedMs = systemClock.monotonicMs();
  const sum = { cases: 0, queries: 0, answered: 0 };
  for (let part = 0; sum.cases < cases; part += 1) {
    const outcome = fuzzDns({ cases: Math.min(PART_CASES, cases - sum.cases), seed: seed + part });
    sum.cases += outcome.cases;
    sum.queries += outcome.queries;
    sum.answered += outcome.answered;
    for (const fault of outcome.faults) console.log(`--cases ${PART_CASES} --seed ${seed + part}: ${fault}`);
    if (outcome.faults.length > 0) return 1;
  }
  const seconds = Math.round((systemClock.monotonicMs() - startedMs) / 1000);
  const shares = `${sum.queries} responses, ${sum.answered} of them with records`;
  console.log(`${sum.cases} messages of seed ${seed}: ${shares}, 0 faults, ${seconds} s`);
  return 0;
}

if (values.help) console.log(HELP);
else process.exitCode = run(Number(values.cases), Number(values.seed));
