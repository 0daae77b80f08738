/** `perigee simulate`: what a policy, a failure, more GPUs or more load would do to the sessions of a day, synthetic or logged; or a log decided again. */
import { isDeepStrictEqual } from "node:util";
import { type Command, Option } from "commander";
import { type Comparison, compareDays } from "#domain/simulation/compare-days.ts";
import type { DayPool } from "#domain/simulation/day.ts";
import { parseAddedGpus, withoutPools } from "#domain/simulation/fleet-change.ts";
import { type FleetPools, SLOTS_LABEL } from "#domain/simulation/fleet-pools.ts";
import { BUNDLE_BYTES_LABEL } from "#domain/simulation/pool-reports.ts";
import { compileWorld } from "#platform/cel/worlds.ts";
import { printValue } from "../output.ts";
import { readResourceFiles } from "../resource-files.ts";
import { amendFleet, appsOf, fetchFleet, poolsOf, readFleetFiles, type StatedFleet } from "../simulation/fleet.ts";
import { parseLoad, parseSeed, parseSlotsPerGpu, SEED_DEFAULT } from "../simulation/options.ts";
import type { RecordedDay, RecordedParts } from "../simulation/recorded.ts";
import { reportDocument, reportLines, shortList } from "../simulation/report.ts";
import { checkPlaceable, makeDay, withAdded } from "../simulation/synthetic.ts";
import { policyNotes, railNotes } from "../simulation/verdicts.ts";
import { type Api, apiOf, type CommandSession } from "./session.ts";

/** Each takes some microseconds; of a larger fleet an arrival stands for several sessions. */
const SIMULATED_ARRIVALS_MAX = 1_000_000;

const LOAD_DEFAULT = "1";

interface SimulateOptions {
  readonly kill: readonly string[];
  readonly add: readonly string[];
  readonly load: string;
  readonly slotsPerGpu?: string;
  readonly seed: string;
  readonly fleet?: readonly string[];
  readonly log?: readonly string[];
  readonly output: "text" | "json";
}

export function addSimulate(program: Command, session: CommandSession): void {
  program
    .command("simulate")
    .description("what changed policies or pools, a failed pool, more GPUs or more load would do to a day's sessions")
    .argument("[files...]", "PlacementPolicy and NodePool resources as they would be applied")
    .option("--kill <pool>", "a pool that is gone; may be given again", collect, [])
    .option(
      "--add <gpus>",
      "COUNTxMODEL@PLACE: a pool, a large city or LATITUDE,LONGITUDE; where they bring most without @PLACE; may be given again",
      collect,
      [],
    )
    .option("--slots-per-gpu <number>", "sessions that an added GPU holds; as the fleet's own where not given")
    .option("--load <factor>", "times the sessions of the day", LOAD_DEFAULT)
    .option("--seed <number>", "of the synthetic day, and of what a log does not say", SEED_DEFAULT)
    .option(
      "--fleet <path>",
      "files or folders of the fleet's resources, instead of the origin's; may be given again",
      collect,
    )
    .option(
      "--log <folder>",
      "the day as a scheduler logged it, instead of a synthetic one: decisions in its dataDir; without a change it is decided again and compared bit for bit; may be given again",
      collect,
    )
    .addOption(new Option("-o, --output <format>", "how to print").choices(["text", "json"]).default("text"))
    .addHelpText(
      "after",
      "\nExamples:\n  perigee simulate eu.yaml\n  perigee simulate --kill frankfurt-a --load 1.5\n  perigee simulate --fleet resources/ --add 40xL40S@berlin\n  perigee simulate eu.yaml --log scheduler-data/decisions\n  perigee simulate --log scheduler-data/decisions",
    )
    .action(async (files: string[], options: SimulateOptions, command: Command) => {
      const { log } = options;
      if (log !== undefined && !asksWhatIf(files, options)) {
        const { replayLogs } = await import("./replay-log.ts");
        return replayLogs(session.output, log, options.output);
      }
      const change = parseChange(files, options);
      const seed = parseSeed(options.seed);
      const recorded = log === undefined ? undefined : await readRecorded(log);
      const fleet = await findFleet(options.fleet, () => apiOf(command, session));
      const { day, comparison, notes } = simulateChange(fleet, { ...change, recorded }, seed);
      if (options.output === "json") printValue(session.output, "json", reportDocument(comparison, day.source, notes));
      else for (const line of [day.source, "", ...reportLines(comparison, notes)]) session.output.line(line);
    });
}

interface Recorded {
  fleetOf(stated: StatedFleet): FleetPools;
  dayOf(parts: RecordedParts): RecordedDay;
}

async function readRecorded(folders: readonly string[]): Promise<Recorded> {
  const { dayOfLog, fleetOfLog, readRecordedLogs } = await import("../simulation/recorded.ts");
  const log = readRecordedLogs(folders);
  return { fleetOf: (stated) => fleetOfLog(log, stated), dayOf: (parts) => dayOfLog(log, parts) };
}

/** Otherwise a log is decided again as it was. */
function asksWhatIf(files: readonly string[], { kill, add, load, fleet }: SimulateOptions): boolean {
  return files.length + kill.length + add.length > 0 || load !== LOAD_DEFAULT || fleet !== undefined;
}

/** Of an option that may be given again: one that took all that follows would take the files too. */
export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

export async function findFleet(files: readonly string[] | undefined, api: () => Api): Promise<StatedFleet> {
  return files === undefined ? await fetchFleet(api()) : readFleetFiles(files);
}

interface FleetChange {
  readonly documents: ReturnType<typeof readResourceFiles>;
  readonly kill: readonly string[];
  readonly add: readonly ReturnType<typeof parseAddedGpus>[];
  readonly slotsPerGpu: number | undefined;
  readonly load: number;
}

function parseChange(files: readonly string[], options: SimulateOptions): FleetChange {
  return {
    documents: files.length === 0 ? [] : readResourceFiles(files),
    kill: options.kill,
    add: options.add.map(parseAddedGpus),
    slotsPerGpu: parseSlotsPerGpu(options.slotsPerGpu),
    load: parseLoad(options.load),
  };
}

function simulateChange(
  fleet: StatedFleet,
  { recorded, ...change }: FleetChange & { readonly recorded: Recorded | undefined },
  seed: number,
) {
  const amended = amendFleet(
    fleet,
    change.documents.map(({ input }) => input),
  );
  const holding = (stated: StatedFleet): FleetPools =>
    recorded !== undefined && fleet.pools.length === 0 ? recorded.fleetOf(stated) : poolsOf(stated);
  const [base, changed] = [holding(fleet), holding(amended)];
  const parts = { base, apps: appsOf(amended), policies: amended.policies, load: change.load, seed };
  const added = withAdded(changed.pools, change, parts);
  const pools = withoutPools(added.pools, change.kill);
  const placed = new Map<number, string>();
  const onPlaced = (group: number, pool: string) => void placed.set(group, pool);
  // Each session of a log is a group of its own, which no forecast can learn of.
  const prices = recorded === undefined ? {} : { priceMs: new Map<string, number>() };
  const before = { ...compileWorld(base.pools, fleet.policies), ...prices };
  const after = { ...compileWorld(pools, amended.policies, change.load), ...prices };
  const policies = [...before.policies, ...after.policies];
  const { day, notes, noteOf } = findDay(recorded, { fleet, base, apps: parts.apps, policies, seed });
  const comparison = compareDays(day, { ...before, ...(noteOf === undefined ? {} : { onPlaced }) }, after);
  const isSame = isDeepStrictEqual(comparison.before, comparison.after) && comparison.moves + comparison.lost === 0;
  const ofChange = notesOfChange(fleet, amended, change, { before: base.pools, after: pools });
  return {
    ...{ day, comparison },
    notes: [
      "moves are those at the busiest time, were the change made then",
      ...(noteOf === undefined ? [] : [noteOf(placed)]),
      ...notes,
      ...notesOfFleet(base),
      ...notesOfSizes(comparison),
      ...added.notes,
      ...ofChange,
      ...policyNotes(fleet.policies, after),
      ...(isSame ? [] : railNotes(fleet.policies, amended.policies, comparison)),
      ...(isSame ? ["before and after are the same"] : []),
    ],
  };
}

function findDay(
  recorded: Recorded | undefined,
  parts: RecordedParts,
): Omit<RecordedDay, "noteOf"> & Partial<RecordedDay> {
  const { base, apps, policies, seed } = parts;
  if (recorded !== undefined) {
    checkPlaceable(base, apps);
    return recorded.dayOf(parts);
  }
  return { day: makeDay(base, { apps, policies, arrivalsMax: SIMULATED_ARRIVALS_MAX }, seed), notes: [] };
}

/** What the fleet does not say, and what is made of it. */
export function notesOfFleet({ silentAgents, emptyPools }: FleetPools): readonly string[] {
  const notes: string[] = [];
  if (emptyPools.length > 0) notes.push(`no slots are known of ${shortList(emptyPools)}`);
  if (silentAgents.length > 0) notes.push(`agents that have not reported count as nothing: ${shortList(silentAgents)}`);
  return notes;
}

function notesOfSizes({ unsizedApps }: Comparison): readonly string[] {
  if (unsizedApps.length === 0) return [];
  const how = `no edge has reported the release, and no label ${BUNDLE_BYTES_LABEL} says it`;
  return [`fill bytes are without the bundles of ${shortList(unsizedApps)}: ${how}`];
}

function notesOfChange(
  fleet: StatedFleet,
  amended: StatedFleet,
  { documents, load }: FleetChange,
  pools: { readonly before: readonly DayPool[]; readonly after: readonly DayPool[] },
): readonly string[] {
  const notes: string[] = [];
  const known = new Set(pools.before.map(({ name }) => name));
  for (const { name, region, labels, classes } of pools.after) {
    if (known.has(name)) continue;
    const said = Object.entries(labels).map(([label, value]) => `${label}=${value}`);
    notes.push(`pool ${name} is new, in region ${region}, with labels ${said.join(", ") || "none"}`);
    if (classes.every(({ slots }) => slots === 0)) {
      notes.push(
        `pool ${name} takes no session: say its slots by the label ${SLOTS_LABEL}, or give it GPUs with --add`,
      );
    }
  }
  if (load !== 1) notes.push(`after has ${load} times the sessions of before`);
  const others = documents.filter(
    ({ input: { kind } }) => !["PlacementPolicy", "NodePool", "RenderApp"].includes(kind),
  );
  const [first] = others;
  if (first !== undefined)
    notes.push(`${first.input.kind} ${first.input.metadata.name} and its like have no part in it`);
  const budgets = ({ policies }: StatedFleet) =>
    JSON.stringify(policies.flatMap(({ spec }) => Object.entries(spec.latencyBudgetMs)).sort());
  if (budgets(fleet) !== budgets(amended)) notes.push("latency budgets differ: each is judged by its own limit");
  return notes;
}
