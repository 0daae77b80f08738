/** `npm run fuzz:media`: all that comes to a session from outside, on so many cases of a seed. */
import { systemClock } from "#platform/clock.ts";
import { parseOptions } from "#test/bench/options.ts";
import { fuzzMedia } from "./media.ts";

const HELP = `npm run fuzz:media -- [options]: signalling, fragments, poses, control messages, frames, sound: refused by name, or within bounds
  --cases <count>   (1000000)
  --seed <number>   (1)
  --case <number>   the first one (0): one alone is replayed with --cases 1
  --help`;

const { values } = parseOptions(HELP, {
  cases: { type: "string", default: "1000000" },
  seed: { type: "string", default: "1" },
  case: { type: "string", default: "0" },
  help: { type: "boolean", default: false },
});

const PROGRESS_CASES = 500_000;

async function run(cases: number, seed: number, from: number): Promise<number> {
  const startedMs = systemClock.monotonicMs();
  const onProgress = (done: number) => {
    if (done % PROGRESS_CASES === 0 && done < cases) console.log(`${done} cases`);
  };
  const { counts, faults } = await fuzzMedia({ cases, seed, from, onProgress });
  for (const [name, { taken, refused }] of counts)
    console.log(`  ${name.padEnd(14)} ${taken} taken, ${refused} refused`);
  for (const fault of faults) console.log(fault);
  const seconds = Math.round((systemClock.monotonicMs() - startedMs) / 1000);
  console.log(`${cases} cases of seed ${seed}: ${faults.length} faults, ${seconds} s`);
  return faults.length > 0 ? 1 : 0;
}

if (values.help) console.log(HELP);
else {
  process.exitCode = await run(Number(values.cases), Number(values.seed), Number(values.case));
  // Threads of the library of WebRTC may wait for what has ended.
  process.exit();
}
