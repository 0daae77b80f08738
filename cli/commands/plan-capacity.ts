/** `perigee plan-capacity`: where more GPUs bring most hours of sessions within their limit. */
import { type Command, Option } from "commander";
import { Failure } from "#domain/failure.ts";
import { type CapacityPlan, planCapacity } from "#domain/simulation/capacity-plan.ts";
import { GPUS_LABEL } from "#domain/simulation/fleet-pools.ts";
import { compileWorld } from "#platform/cel/worlds.ts";
import { printValue, renderTable } from "../output.ts";
import { appsOf, poolsOf } from "../simulation/fleet.ts";
import { parseSeed, parseSlotsPerGpu, parseWhole, SEED_DEFAULT } from "../simulation/options.ts";
import { count, percent } from "../simulation/report.ts";
import { makeDay, PLANNED_ARRIVALS_MAX } from "../simulation/synthetic.ts";
import { apiOf, type CommandSession } from "./session.ts";
import { collect, findFleet, notesOfFleet } from "./simulate.ts";

const GPUS_MAX = 10_000;
const PLACES_SHOWN = 10;

interface PlanOptions {
  readonly gpus: string;
  readonly model?: string;
  readonly slotsPerGpu?: string;
  readonly seed: string;
  readonly fleet?: readonly string[];
  readonly output: "text" | "json";
}

export function addPlanCapacity(program: Command, session: CommandSession): void {
  program
    .command("plan-capacity")
    .description("where the next GPUs, at a pool or in a large city, bring most hours of sessions within their limit")
    .option("--gpus <number>", "that are added at one place", "8")
    .option("--model <name>", "of the GPUs of a new pool; as the first pool's label gpu where not given")
    .option("--slots-per-gpu <number>", "sessions that an added GPU holds; as the fleet's own where not given")
    .option("--seed <number>", "of the synthetic day", SEED_DEFAULT)
    .option("--fleet <path>", "files or folders of the fleet's resources, instead of the origin's", collect)
    .addOption(new Option("-o, --output <format>", "how to print").choices(["text", "json"]).default("text"))
    .addHelpText("after", "\nExample:\n  perigee plan-capacity --gpus 8 --model l40s")
    .action(async (options: PlanOptions, command: Command) => {
      const gpus = parseWhole("--gpus", options.gpus, { from: 1, to: GPUS_MAX });
      const slotsPerGpu = parseSlotsPerGpu(options.slotsPerGpu);
      const seed = parseSeed(options.seed);
      const stated = await findFleet(options.fleet, () => apiOf(command, session));
      const fleet = poolsOf(stated);
      const known = options.model ?? fleet.pools.flatMap(({ labels }) => labels["gpu"] ?? [])[0];
      if (known === undefined && slotsPerGpu === undefined) {
        const how = `give --slots-per-gpu, or pools the labels gpu and ${GPUS_LABEL}`;
        throw new Failure(
          "argument-invalid",
          `how many sessions a GPU holds is not known: no pool has the label gpu; ${how}`,
        );
      }
      const model = known ?? "gpu";
      const world = compileWorld(fleet.pools, stated.policies);
      const parts = { apps: appsOf(stated), policies: world.policies, arrivalsMax: PLANNED_ARRIVALS_MAX };
      const day = makeDay(fleet, parts, seed);
      const plan = planCapacity(day, world, { gpus, model, ownKind: true, slotsPerGpu });
      const assumptions = [...assumptionsOf(plan, gpus, model), ...notesOfFleet(fleet)];
      const gains = plan.gains.slice(0, PLACES_SHOWN);
      if (options.output === "json") {
        return printValue(session.output, "json", { source: day.source, ...plan, gains, assumptions });
      }
      const rows = gains.map(({ place, isNew, hoursGained, shareAfter, shadowValueMs }, at) => [
        ...[String(at + 1), place, isNew ? "new" : "pool", hoursGained.toFixed(1), percent(shareAfter)],
        (shadowValueMs / 1000).toFixed(1),
      ]);
      const heads = ["", "PLACE", "", "HOURS GAINED A DAY", "WITHIN LIMIT THEN", "SECONDS SAVED BY PRICES"];
      const now = `${count(plan.hoursNow)} hours of sessions within their limit a day, ${percent(plan.shareNow)} of sessions`;
      for (const line of [day.source, "", `now: ${now}`, "", renderTable(heads, rows), ""]) session.output.line(line);
      for (const assumption of assumptions) session.output.line(`assumed: ${assumption}`);
    });
}

function assumptionsOf({ placesLookedAt, gains }: CapacityPlan, gpus: number, model: string): readonly string[] {
  return [
    `${gpus} GPUs more at one place: a pool gets its own kind, a new place ${model}`,
    "a new pool has its nearest neighbour's region, labels and cost, and takes sessions as soon as it is there",
    "who comes, and when, does not change with what there is",
    `of ${placesLookedAt} places the ${gains.length} that prices at the busiest time value most were simulated for a day each, and are ranked by that`,
    "the simulated days place as schedulers do, by distance and prices solved from who came so far",
  ];
}
