/** Kills the production store with SIGKILL at random instants, starts it again, and checks that nothing complete is lost and no byte wrong. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseOptions } from "#test/bench/options.ts";
import { printReport, type Row, reportOf } from "#test/bench/report.ts";
import { runChild } from "./torture/child.ts";
import { killOften, type Phase, type Tally } from "./torture/killing.ts";

const MIB = 1024 * 1024;

const HELP = `node edge-node/bench/torture-store.bench.ts [options]: the store under kill -9
  --kills <count>  half of them with a quota for all, half with one that evicts (1000)
  --seed <number>  of everything that is random; printed, and given again it replays (a random one)
  --folder <path>  on the disk to be tried; a new folder in it (the system's temporary folder)
  --smoke          20 kills
  --json           the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  kills: { type: "string", default: "1000" },
  seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
  folder: { type: "string" },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
  // Of the process that is killed, which is this program too.
  child: { type: "boolean", default: false },
  base: { type: "string", default: "0" },
  objects: { type: "string", default: "0" },
  "disk-bytes": { type: "string", default: "0" },
});

const say = (line: string) => {
  if (!options.json) console.log(line);
};

async function run(): Promise<number> {
  const kills = options.smoke ? 20 : Number(options.kills);
  const command = [process.execPath, import.meta.filename, "--child"];
  say(`seed ${options.seed}: replay with --kills ${kills} --seed ${options.seed}`);
  const half = { kills: Math.ceil(kills / 2), objects: 120 };
  const phases: readonly Phase[] = [
    { ...half, name: "with room", diskBytes: 1024 * MIB, mayEvict: false },
    { ...half, name: "evicting", diskBytes: 12 * MIB, mayEvict: true },
  ];
  const tallies: Tally[] = [];
  for (const [index, phase] of phases.entries()) {
    const folder = mkdtempSync(join(options.folder ?? tmpdir(), "perigee-torture-"));
    try {
      const seed = Number(options.seed) + index;
      tallies.push(await killOften(phase, { folder, seed, command, onProgress: say }));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return report(tallies);
}

function report(tallies: readonly Tally[]): number {
  const sum = (of: (tally: Tally) => number) => tallies.reduce((all, tally) => all + of(tally), 0);
  const row = (name: string, value: number, target: number | null): Row => {
    return { row: name, value, unit: "count", baseline: null, target };
  };
  const rows = [
    row(
      "kills",
      sum(({ kills }) => kills),
      null,
    ),
    row(
      "complete_objects_reported",
      sum(({ stored }) => stored),
      null,
    ),
    row(
      "found_after_kills",
      sum(({ hits }) => hits),
      null,
    ),
    row(
      "wrong_bytes",
      sum(({ verdicts }) => verdicts["wrong-bytes"] + verdicts["came-back"] + verdicts["not-softened"]),
      0,
    ),
    row(
      "lost_complete_objects",
      sum(({ verdicts }) => verdicts.lost),
      0,
    ),
    row(
      "starts_that_broke",
      sum(({ broke }) => broke),
      0,
    ),
    row(
      "strays_left",
      sum(({ strays }) => strays),
      0,
    ),
  ];
  const found = sum(({ hits }) => hits);
  const failed = rows.slice(3).reduce((all, { value }) => all + value, found === 0 ? 1 : 0);
  const summary = reportOf(options.smoke ? "torture:store (smoke)" : "torture:store", rows);
  if (options.json) return Math.max(printReport(summary, true), failed === 0 ? 0 : 1);
  for (const { row: name, value } of rows) console.log(`  ${name}: ${value}`);
  console.log(`${sum(({ verdicts }) => verdicts["as-told"])} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

if (options.help) console.log(HELP);
else if (options.child) {
  await runChild({
    folder: options.folder ?? "",
    seed: Number(options.seed),
    base: Number(options.base),
    objects: Number(options.objects),
    diskBytes: Number(options["disk-bytes"]),
  });
} else process.exitCode = await run();
