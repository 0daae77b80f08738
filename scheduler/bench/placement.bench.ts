/** How near to the best possible placement comes, by the models of recorded latency; each row beside a baseline and an oracle. */
import { join } from "node:path";
import { isFailure } from "#domain/failure.ts";
import { parseOptions } from "#test/bench/options.ts";
import { printReport, type Row, reportOf } from "#test/bench/report.ts";
import type { Model, ModelRun } from "./models/model.ts";

const HELP = `node scheduler/bench/placement.bench.ts [options]: placement by the models of recorded latency
  --models <letters>  only these, separated by commas (default: all)
  --seeds <count>     runs of a model that does not say how many (default 60: baselines are means of many)
  --data <folder>     recorded latency (../shared/data)
  --smoke             as little as shows that it runs; judged by nobody
  --json              the last line only on standard output, progress on the other
  --help`;

const { values: options } = parseOptions(HELP, {
  models: { type: "string", default: "" },
  seeds: { type: "string", default: "60" },
  data: { type: "string", default: join(import.meta.dirname, "..", "..", "..", "shared", "data") },
  smoke: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
});

/** By the letters of the models' definitions, or what is measured. */
const MODELS: Readonly<Record<string, () => Promise<Model>>> = {
  B: async () => (await import("./models/model-b.ts")).modelB,
  "B'": async () => (await import("./models/model-b-learned.ts")).modelBLearned,
  "B''": async () => (await import("./models/model-b-crowd.ts")).modelBCrowd,
  "never-worse": async () => (await import("./models/never-worse.ts")).neverWorse,
  C: async () => (await import("./models/model-c.ts")).modelC,
  G: async () => (await import("./models/model-g.ts")).modelG,
  pricing: async () => (await import("./models/pricing-turn.ts")).pricingTurn,
  decisions: async () => (await import("./models/decisions.ts")).decisions,
  A: async () => (await import("./models/selection.ts")).runSelection,
  D: async () => (await import("./models/changing.ts")).runChanging,
  F: async () => (await import("./models/metro.ts")).runMetro,
  H: async () => (await import("./models/moving.ts")).runMoving,
  reservations: async () => (await import("./models/reservations.ts")).reservations,
  E: async () => (await import("./models/content.ts")).contentModel,
};

async function run(): Promise<number> {
  const wanted = options.models === "" ? Object.keys(MODELS) : options.models.split(",");
  const isSmoke = options.smoke;
  if (!(Number(options.seeds) >= 1)) throw new TypeError(`--seeds is at least 1, got ${options.seeds}`);
  const say = options.json ? console.error : console.log;
  const model: ModelRun = { data: options.data, seeds: isSmoke ? 1 : Number(options.seeds), isSmoke, say };
  const rows: Row[] = [];
  for (const letter of wanted) {
    const load = MODELS[letter];
    if (load === undefined)
      throw new TypeError(`there is no model ${letter}; there are ${Object.keys(MODELS).join(", ")}`);
    say(`model ${letter} …`);
    rows.push(...(await (await load())(model)));
  }
  const judged = isSmoke ? rows.map((row) => ({ ...row, target: null })) : rows;
  return printReport(reportOf(isSmoke ? "placement (smoke)" : "placement", judged), options.json);
}

if (options.help) console.log(HELP);
else {
  try {
    process.exitCode = await run();
  } catch (error) {
    if (!(error instanceof TypeError) && !isFailure(error)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
