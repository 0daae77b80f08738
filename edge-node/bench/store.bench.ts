/** What the store costs: a hit, memory and disk beside what is counted, a start with very many objects, a purge of very many. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseOptions } from "#test/bench/options.ts";
import { printReport, type Row, reportOf } from "#test/bench/report.ts";
import { measureMany } from "./store/many-on-disk.ts";
import { measureMemory } from "./store/memory-costs.ts";
import { measurePurge } from "./store/purge-pauses.ts";

const HELP = `node edge-node/bench/store.bench.ts [options]: what the response store costs
  --objects <count>  on disk at the start of an edge (1000000)
  --purged <count>   under one tag, in memory and on disk (100000)
  --only <part>      memory, start or purge
  --folder <path>    on the disk to be measured; a new folder in it (the system's temporary folder)
  --smoke            small counts: shows that it runs, measures nothing
  --json             the last line only
  --help`;

const { values: options } = parseOptions(HELP, {
  objects: { type: "string", default: "1000000" },
  purged: { type: "string", default: "100000" },
  only: { type: "string" },
  folder: { type: "string", default: tmpdir() },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});
const LOOKUPS = 3_000_000;
const [objects, purged, lookups] = options.smoke
  ? [5000, 2000, 10_000]
  : [Number(options.objects), Number(options.purged), LOOKUPS];

async function run(): Promise<number> {
  const folder = mkdtempSync(join(options.folder, "perigee-store-"));
  try {
    const parts: Readonly<Record<string, () => Promise<readonly Row[]>>> = {
      memory: () => measureMemory(purged, lookups),
      start: () => measureMany(folder, objects),
      purge: () => measurePurge(folder, purged),
    };
    const rows: Row[] = [];
    for (const [name, measure] of Object.entries(parts))
      if (options.only === undefined || options.only === name) rows.push(...(await measure()));
    const judged = options.smoke ? rows.map((row) => ({ ...row, target: null })) : rows;
    return printReport(reportOf(options.smoke ? "store (smoke)" : "store", judged), options.json);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (options.help) console.log(HELP);
else process.exitCode = await run();
